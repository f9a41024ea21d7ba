"""Downloads of data files: locked, verified, and complete or not at all."""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from filelock import FileLock

from deepobs import __version__
from deepobs.errors import ArgumentError, DataError, DownloadError
from deepobs.files import open_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

TIMEOUT_SECONDS = (10.0, 30.0)
"""Longest wait for a connection, and for the next bytes: a firewall may drop packets silently."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to download.

    Attributes:
        name: Its name in the data directory.
        urls: Its mirrors, in the order they are tried.
        checksum: `algorithm:hexadecimal digest` such as "md5:8d4f...", empty if unknown.
        size: Its length in bytes, `None` if unknown.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str = ""
    size: int | None = None

    def __post_init__(self) -> None:
        """Reject a name that would leave the directory or a checksum that could not be verified."""
        if self.name != os.path.basename(self.name) or self.name in ("", ".", ".."):  # noqa: PTH119 # text
            raise ArgumentError(f"A remote file needs a plain file name, got {self.name!r}.")
        algorithm = self.checksum.partition(":")[0]
        if self.checksum and algorithm not in hashlib.algorithms_available:
            raise ArgumentError(
                f"The checksum of {self.name} must begin with a hash algorithm and a colon, as "
                f"'sha256:...'; got {self.checksum!r}."
            )


def fetch(files: Sequence[RemoteFile], directory: Path) -> list[Path]:
    """Download the files that a directory lacks.

    Args:
        files: Files to download.
        directory: Created if missing.

    Returns:
        The paths of all files, in order.

    Raises:
        DownloadError: No mirror delivered one of them.
        DataError: The directory cannot be written to.
    """
    paths = [directory / file.name for file in files]
    with locked(directory):
        # Not before the lock is held: another process may have downloaded them in the meantime.
        for file, path in zip(files, paths, strict=True):
            if not path.is_file():
                with open_atomic(path, is_locked=True) as stream:
                    download_into(stream, file)
    return paths


def download_into(stream: IO[bytes], file: RemoteFile) -> None:
    """Write a verified file from the first mirror that delivers it.

    Args:
        stream: Open for writing and reading; its content is discarded.
        file: File to download.

    Raises:
        DownloadError: No mirror delivered it.
        OSError: The stream cannot be written to.
    """
    failures = []
    for url in file.urls:
        _log.info("Downloading %s", url)
        try:
            _transfer(url, stream)
            wrong = _wrong_size(stream, file.size)
            if file.checksum and not wrong:
                wrong = mismatch(stream, file.checksum)
        except DownloadError as error:
            wrong = str(error)
        if not wrong:
            return
        failures.append(f"{url}: {wrong}")
    tried = "; ".join(failures) or "none is known"
    raise DownloadError(f"No mirror delivered {file.name}: {tried}.")


def mismatch(content: IO[bytes], checksum: str) -> str:
    """Compare content with a checksum.

    Args:
        content: Open for reading; read from its start to its end.
        checksum: `algorithm:hexadecimal digest`.

    Returns:
        "its md5 checksum is ... instead of ...", or the empty string if it matches.
    """
    algorithm, _, expected = checksum.partition(":")
    content.seek(0)
    # Declared as not for security, since Python in FIPS mode otherwise refuses MD5.
    digest = hashlib.file_digest(
        content,  # type: ignore[arg-type]  # typeshed wants more than is used
        lambda: hashlib.new(algorithm, usedforsecurity=False),
    ).hexdigest()
    if digest == expected.lower():
        return ""
    return f"its {algorithm} checksum is {digest} instead of {expected}"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock a directory, created if missing, against other processes while writing to it.

    Raises:
        DataError: The directory cannot be written to.
    """
    lock = FileLock(directory / ".download.lock")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with lock:
            yield
    except OSError as error:
        raise DataError(
            f"The data directory {directory} cannot be written to: {error.strerror or error}. "
            "Choose another one by the environment variable DEEPOBS_DATA_DIR or by "
            "deepobs.pytorch.config.set_data_dir."
        ) from error


def _wrong_size(stream: IO[bytes], expected: int | None) -> str:
    size = stream.seek(0, os.SEEK_END)
    return "" if expected in (None, size) else f"it has {size} bytes instead of {expected}"


def _transfer(url: str, stream: IO[bytes]) -> None:
    """Write what a URL delivers, from the start of the stream."""
    import pooch
    import requests

    stream.seek(0)
    stream.truncate()
    downloader = pooch.HTTPDownloader(
        chunk_size=2**18,
        timeout=TIMEOUT_SECONDS,
        headers={"User-Agent": f"deepobs/{__version__}", "Accept-Encoding": "identity"},
    )
    try:
        downloader(url, stream, None)
    # It derives from OSError: uncaught, a network failure would be reported as one of the disk.
    except requests.RequestException as error:
        if error.response is not None:
            error.response.close()
            raise DownloadError(f"HTTP status {error.response.status_code}") from error
        cause = error.args[0] if error.args else error
        raise DownloadError(str(getattr(cause, "reason", cause))) from error
