"""Archives of results: only result files come out, and none that could leave its directory.

No checksum is known of an archive that somebody else keeps, so it is judged by what it holds.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from functools import partial
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from deepobs.errors import CorruptDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_ENTRIES = 200_000
_MOST_BYTES = 2**34  # unpacked; ten times those of the paper
_MOST_BYTES_OF_A_RESULT = 2**26
_LEVELS = 4  # <problem>/<optimizer>/<setting>/<file>, whatever directories it is packed in
_BLOCK_BYTES = 2**20
_COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], object]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"BZh": bz2.open,
}
_READING_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,  # gzip's and bzip2's
    RuntimeError,  # of a zip archive that wants a password or was packed in an unknown way
)


class _Entry(NamedTuple):
    """Something in an archive.

    Attributes:
        name: Its path there.
        size: Its length in bytes.
        is_file: Whether it is a regular file.
        open: Opens it for reading.
    """

    name: str
    size: int
    is_file: bool
    open: Callable[[], IO[bytes] | None]


def packed_results(stream: IO[bytes], name: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The result files in an archive.

    Args:
        stream: The archive, a zip archive or a tar archive in any compression.
        name: What messages call it.

    Yields:
        Where each belongs below a directory of results, and what it holds.

    Raises:
        CorruptDataError: It cannot be unpacked, is far too large, or holds what no archive of
            results holds: a path that leads out of it, or a link in place of a result.
    """
    total = 0
    try:
        for number, entry in enumerate(_entries(stream)):
            total += entry.size
            if number == _MOST_ENTRIES or total > _MOST_BYTES:
                raise unusable(name, "it is far too large for one of results")
            place = _place(entry, name)
            if place is not None:
                yield place, _content(entry, name)
    except _READING_ERRORS as error:
        raise unusable(name, f"it cannot be unpacked ({error})") from error


def unusable(name: str, what: str) -> CorruptDataError:
    """The error that says what is wrong with an archive.

    Args:
        name: The archive.
        what: A sentence without its capital and its full stop, in which "it" is the archive.
    """
    return CorruptDataError(f"The archive {name} cannot be used: {what}. Nothing was installed.")


def _entries(stream: IO[bytes]) -> Iterator[_Entry]:
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as packed:
            for each in packed.infolist():
                is_link = (each.external_attr >> 28) == 0o12
                is_file = not is_link and not each.is_dir()
                yield _Entry(each.filename, each.file_size, is_file, partial(packed.open, each))
        return
    with _unpacked(stream) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
        for member in tar:
            is_file = member.isreg() and not member.issparse()
            yield _Entry(member.name, member.size, is_file, partial(tar.extractfile, member))
        # Only at the very end is it known that nothing is cut off, or wrong by the checksum.
        while block := unpacked.read(_BLOCK_BYTES):
            yield _Entry("", len(block), False, lambda: None)


def _unpacked(stream: IO[bytes]) -> IO[bytes]:
    """What a compressed file unpacks to. tarfile's own way passes over what is cut off."""
    stream.seek(0)
    start = stream.read(8)
    stream.seek(0)
    for magic, opened in _COMPRESSIONS.items():
        if start.startswith(magic):
            return cast("IO[bytes]", opened(stream))
    return stream


def _place(entry: _Entry, name: str) -> PurePosixPath | None:
    """Where a result belongs; `None` for what is none."""
    path = PurePosixPath(entry.name)
    is_result = path.name.startswith("random_seed__") and path.suffix == ".json"
    if path.is_absolute() or ".." in path.parts or "\\" in entry.name or "\0" in entry.name:
        raise unusable(name, f"it holds the path {entry.name!r}, which leads out of it")
    if is_result and not entry.is_file:
        raise unusable(name, f"it holds {entry.name!r}, which is no regular file")
    return PurePosixPath(*path.parts[-_LEVELS:]) if is_result else None


def _content(entry: _Entry, name: str) -> bytes:
    if entry.size > _MOST_BYTES_OF_A_RESULT:
        raise unusable(name, f"it holds {entry.name!r}, which is too large for a result")
    stream = entry.open()
    assert stream is not None  # noqa: S101 # only what is no regular file has none
    with stream:
        return stream.read()
