"""Files of data sets: fetched under a lock, verified, and there as a whole or not at all."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, TypeAlias

from deepobs.data.checksums import mismatch
from deepobs.data.http import transfer_over_http
from deepobs.data.writing import explained, locked, replacing
from deepobs.errors import ArgumentError, DownloadError

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

Transfer: TypeAlias = Callable[[str, IO[bytes]], None]
"""Writes what an address holds into an open file, or raises `DownloadError`."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to be fetched.

    Attributes:
        name: What it is called in the data directory.
        urls: Where it can be had, in the order of trying.
        checksum: `algorithm:hexadecimal digest` such as "md5:8d4f...", empty where none is known.
        size: Its length in bytes, `None` where it is not known.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str = ""
    size: int | None = None

    def __post_init__(self) -> None:
        """Refuse a description that would leave the directory or could not be verified."""
        if self.name != os.path.basename(self.name) or self.name in ("", ".", ".."):  # noqa: PTH119 # text
            raise ArgumentError(f"A remote file needs a plain file name, got {self.name!r}.")
        algorithm = self.checksum.partition(":")[0]
        if self.checksum and algorithm not in hashlib.algorithms_available:
            raise ArgumentError(
                f"The checksum of {self.name} must begin with a hash algorithm and a colon, as "
                f"'sha256:...'; got {self.checksum!r}."
            )


def fetch(
    files: Sequence[RemoteFile], directory: Path, transfer: Transfer = transfer_over_http
) -> list[Path]:
    """Get those files that a directory lacks.

    Every file is written beside its place, verified and renamed, so that it is there as a whole or
    not at all; what a killed process left behind is begun anew. Processes that want the same files
    at once wait for the first one and find them there.

    Args:
        files: What to get.
        directory: Where to put it; made where it does not exist.
        transfer: How to get the content of an address.

    Returns:
        The paths of the files, in their order.

    Raises:
        DownloadError: No mirror of one of them delivered it.
        DataError: The directory cannot be written to.
    """
    with locked(directory):
        # Looked up only now: another process may have fetched them while this one waited.
        return [_fetched(file, directory, transfer) for file in files]


def download_into(
    stream: IO[bytes], file: RemoteFile, transfer: Transfer = transfer_over_http
) -> None:
    """Write what the first mirror that has it delivers into an open file, and verify it.

    Args:
        stream: Where to write; open for reading, too. What it holds is discarded.
        file: What to get.
        transfer: How to get the content of an address.

    Raises:
        DownloadError: No mirror delivered it.
        OSError: It could not be written.
    """
    failures = []
    for url in file.urls:
        _log.info("Downloading %s", url)
        try:
            stream.seek(0)
            stream.truncate()
            transfer(url, stream)
            _verify(file, stream)
        except DownloadError as error:
            failures.append(f"{url}: {error}")
        else:
            return
    tried = "; ".join(failures) or "none is known"
    raise DownloadError(f"No mirror delivered {file.name}: {tried}.")


def _fetched(file: RemoteFile, directory: Path, transfer: Transfer) -> Path:
    target = directory / file.name
    if not target.is_file():
        with explained(directory), replacing(target) as stream:
            download_into(stream, file, transfer)
    return target


def _verify(file: RemoteFile, stream: IO[bytes]) -> None:
    size = stream.seek(0, os.SEEK_END)
    if file.size is not None and size != file.size:
        raise DownloadError(f"it has {size} bytes instead of {file.size}")
    wrong = mismatch(stream, file.checksum) if file.checksum else ""
    if wrong:
        raise DownloadError(wrong)
