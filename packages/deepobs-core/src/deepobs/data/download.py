"""Files of data sets: fetched under a lock, verified, and there as a whole or not at all."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, TypeAlias

from filelock import FileLock

from deepobs.data.http import transfer_over_http
from deepobs.errors import ArgumentError, DataError, DownloadError

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


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes from fetching into a directory meanwhile.

    Args:
        directory: What to lock; made where it does not exist.

    Raises:
        DataError: It cannot be written to.
    """
    with _explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".download.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetched(file: RemoteFile, directory: Path, transfer: Transfer) -> Path:
    target = directory / file.name
    if target.is_file():
        return target
    part = directory / f".{file.name}.part"
    try:
        with _explained(directory):
            _transfer_from_first_mirror(file, part, transfer)
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _transfer_from_first_mirror(file: RemoteFile, part: Path, transfer: Transfer) -> None:
    failures = []
    for url in file.urls:
        _log.info("Downloading %s", url)
        try:
            with part.open("w+b") as stream:
                transfer(url, stream)
                stream.flush()
                os.fsync(stream.fileno())
                _verify(file, stream)
        except DownloadError as error:
            failures.append(f"{url}: {error}")
        else:
            return
    tried = "; ".join(failures) or "none is known"
    raise DownloadError(f"No mirror delivered {file.name}: {tried}.")


def _verify(file: RemoteFile, stream: IO[bytes]) -> None:
    size = stream.seek(0, os.SEEK_END)
    if file.size is not None and size != file.size:
        raise DownloadError(f"it has {size} bytes instead of {file.size}")
    algorithm, _, expected = file.checksum.partition(":")
    if not expected:
        return
    stream.seek(0)
    # Said not to be for security, as machines in FIPS mode otherwise refuse MD5.
    digest = hashlib.file_digest(
        stream,  # type: ignore[arg-type]  # typeshed wants more than is used
        lambda: hashlib.new(algorithm, usedforsecurity=False),
    ).hexdigest()
    if digest != expected.lower():
        raise DownloadError(f"its {algorithm} checksum is {digest} instead of {expected}")


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turn what the file system objects to into one clear error."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The data directory {directory} cannot be written to: {error.strerror or error}. "
            "Choose another one by the environment variable DEEPOBS_DATA_DIR or by "
            "deepobs.pytorch.config.set_data_dir."
        ) from error
