"""Archives of results: unpacked into directories, after everything in them was checked.

No checksum is known of an archive that somebody else keeps, so it is judged by its content: only
results come out of it, and none that could leave its directory.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from deepobs import config
from deepobs.errors import CorruptDataError, DataError, MissingDataError
from deepobs_analysis import packed_results, result_files
from deepobs_analysis.json_values import NoResultError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

    from deepobs_analysis.result_files import Found

# Ten times what the archive of the paper unpacks to: a bomb is refused before it fills the disk.
_MOST_ENTRIES, _MOST_BYTES, _MOST_BYTES_OF_A_RESULT = 200_000, 2**34, 2**26
# <problem>/<optimizer>/<configuration>/<file>: archives of GitHub put directories around them.
_LEVELS = 4
_BLOCK_BYTES = 2**20
_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2")
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
    OSError,  # of gzip and bzip2
    RuntimeError,  # of a zip archive with a password or an unknown compression
    *(KeyError, IndexError, TypeError, ValueError, NoResultError),  # of broken columns
)


class _Entry(NamedTuple):
    """An entry of an archive: its path there, its size in bytes, and how to open it."""

    name: str
    size: int
    is_file: bool
    open: Callable[[], IO[bytes] | None]


def has_results(directory: Path) -> bool:
    """Whether a directory, which need not exist, holds result files."""
    found = result_files.walk(str(directory), {})
    return any(file.name.endswith(result_files.RESULT) for file in found)


class Listed(NamedTuple):
    """What there is in a place: its runs, their test problems, and the bytes of all files."""

    runs: int
    problems: int
    size: int


def listed(place: Path) -> Listed:
    """Count the runs in a directory, which need not exist, or in an archive of columns.

    Any other file has none.
    """
    if not place.is_file():
        found = list(result_files.walk(str(place), {}))
        paths, size = [file.name for file in found], sum(file.size for file in found)
    else:
        size, paths = place.stat().st_size, []
        if zipfile.is_zipfile(place):
            with zipfile.ZipFile(place) as archive:
                paths = packed_results.paths_in(archive)
    runs = [PurePosixPath(path) for path in paths if path.endswith(result_files.RESULT)]
    return Listed(len(runs), len({path.parts[-_LEVELS:][0] for path in runs}), size)


def is_archive(path: Path) -> bool:
    """Whether a path is that of an archive, by its name."""
    return path.suffix in _SUFFIXES and path.is_file()


def unpacked(archive: Path) -> Path:
    """The directory in the user's cache that an archive is unpacked in, once for each content.

    Raises:
        MissingDataError: It cannot be read.
        CorruptDataError: It is not an archive of results.
        DataError: The cache cannot be written to.
    """
    with _opened(archive) as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    directory = config.get_cache_dir() / "archives" / content[:32]
    install(directory, archive)
    return directory


def install(directory: Path, archive: Path) -> bool:
    """Unpack an archive of results, unless there are results already.

    Args:
        directory: Receives all of the results or, if anything goes wrong, none.
        archive: A zip archive, or a tar archive that is compressed by gzip, xz or bzip2.

    Returns:
        Whether it was unpacked.

    Raises:
        MissingDataError: There is no such archive.
        CorruptDataError: It is not an archive of results.
        DataError: The directory cannot be written to.
    """
    if has_results(directory):
        return False
    with explained(directory), _opened(archive) as stream:
        unpack(stream, str(archive), directory)
    return True


def results_in(stream: IO[bytes], name: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The result files in an archive, and records of tunings beside them.

    Args:
        stream: A zip archive, also one of columns, or a tar archive in any compression.
        name: What messages call it.

    Yields:
        The path of each result below a directory of results, and its content.

    Raises:
        CorruptDataError: It cannot be unpacked, is far too large, or holds what no archive of
            results holds: a path that leads out of it, or a link in place of a result.
    """
    total = 0
    # Sizes are added up while unpacking: what an archive says of itself beforehand may be a lie.
    try:
        for number, entry in enumerate(_entries(stream)):
            total += entry.size
            if number == _MOST_ENTRIES or total > _MOST_BYTES:
                raise _unusable(name, "it is far too large for an archive of results")
            place = _place(entry, name)
            if place is not None:
                yield place, _content(entry, name)
    except _READING_ERRORS as error:
        raise _unusable(name, f"it cannot be unpacked ({error})") from error


def _opened(archive: Path) -> BufferedReader:
    try:
        return archive.open("rb")
    except OSError as error:
        raise MissingDataError(
            f"Cannot open the archive {archive}: {error.strerror or error}. Give the path of a "
            "downloaded one, a .tar.gz, .tar.xz or .zip."
        ) from error


def _unusable(name: str, what: str) -> CorruptDataError:
    return CorruptDataError(f"The archive {name} cannot be used: {what}. Nothing was installed.")


def _entries(stream: IO[bytes]) -> Iterator[_Entry]:
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as packed:
            if packed_results.is_packed(packed):
                for path, content in packed_results.unpack(packed):
                    yield _Entry(str(path), len(content), True, partial(io.BytesIO, content))
                return
            for each in packed.infolist():
                # Zip archives keep the mode of Unix in the upper half; 0o12 stands for a link.
                is_link = (each.external_attr >> 28) == 0o12
                is_file = not is_link and not each.is_dir()
                yield _Entry(each.filename, each.file_size, is_file, partial(_member, packed, each))
        return
    with _unpacked(stream) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
        for member in tar:
            is_file = member.isreg() and not member.issparse()
            yield _Entry(member.name, member.size, is_file, partial(tar.extractfile, member))
        # Only at the very end is it known that nothing is cut off, or wrong by the checksum.
        while block := unpacked.read(_BLOCK_BYTES):
            yield _Entry("", len(block), False, lambda: None)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    return io.BytesIO(packed_results.read_member(archive, member))


def _unpacked(stream: IO[bytes]) -> IO[bytes]:
    """The content of a compressed file; tarfile's own way would ignore what is cut off."""
    stream.seek(0)
    start = stream.read(8)
    stream.seek(0)
    for magic, opened in _COMPRESSIONS.items():
        if start.startswith(magic):
            return cast("IO[bytes]", opened(stream))
    return stream


def _place(entry: _Entry, name: str) -> PurePosixPath | None:
    """The path of a result; `None` for other files."""
    path = PurePosixPath(entry.name)
    is_result = path.suffix == result_files.TUNING or (
        path.suffix == result_files.RESULT and path.name.startswith("random_seed__")
    )
    if path.is_absolute() or ".." in path.parts or "\\" in entry.name or "\0" in entry.name:
        raise _unusable(name, f"it holds the path {entry.name!r}, which leads out of it")
    if is_result and not entry.is_file:
        raise _unusable(name, f"it holds {entry.name!r}, which is not a regular file")
    return PurePosixPath(*path.parts[-_LEVELS:]) if is_result else None


def _content(entry: _Entry, name: str) -> bytes:
    if entry.size > _MOST_BYTES_OF_A_RESULT:
        raise _unusable(name, f"it holds {entry.name!r}, which is too large for a result")
    stream = entry.open()
    assert stream is not None  # noqa: S101 # only entries other than regular files have none
    with stream:
        return stream.read()


def packed(directory: Path) -> tuple[bytes, dict[str, str]]:
    """The results below a directory, and the records of tunings, as an archive of columns.

    Returns:
        The archive, and why other files are not in it, by their names.

    Raises:
        ArgumentError: There is no result.
    """
    left_out: dict[str, str] = {}
    contents = []
    for file in sorted(result_files.walk(str(directory), left_out)):
        reason = _fault(directory, file)
        if reason:
            left_out[file.name] = reason
        else:
            contents.append((PurePosixPath(file.name), (directory / file.name).read_bytes()))
    stream = io.BytesIO()
    packed_results.pack(stream, contents)
    return stream.getvalue(), left_out


def unpack(stream: IO[bytes], name: str, directory: Path) -> None:
    """Unpack an archive into a temporary directory beside, and move it once all was checked.

    Args:
        stream: The archive.
        name: What messages call it.
        directory: Receives all of the results or, if anything goes wrong, none.

    Raises:
        CorruptDataError: It is not an archive of results.
        OSError: The directory cannot be written to.
    """
    # Beside the target and not in the system's temporary directory: only within one file system
    # can the whole directory be renamed at once.
    parent = directory.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".baselines-", dir=parent) as temporary:
        staged = Path(temporary, "results")
        for place, content in results_in(stream, name):
            _write(staged / place, content, name)
        if not staged.is_dir():
            raise _unusable(name, "it holds no results of DeepOBS")
        # Only an empty directory is removed: one that holds anything stays, and renaming fails.
        with contextlib.suppress(OSError):
            directory.rmdir()
        staged.rename(directory)


def _write(target: Path, content: bytes, name: str) -> None:
    if target.exists():
        raise _unusable(name, f"it holds {target.name} twice")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    reason = _fault(target.parent, result_files.described(target))
    if reason:
        raise _unusable(name, f"of its file {target.name}, {reason}")


def _fault(root: Path, file: Found) -> str:
    """Why a file below a directory is neither a result nor a record of a tuning, or empty."""
    try:
        if file.name.endswith(result_files.TUNING):
            result_files.read_tuning(str(root), file)
            return ""
        found = result_files.read(str(root), file)
    except NoResultError as error:
        return str(error)
    return found.reason if isinstance(found, result_files.Excluded) else ""


@contextlib.contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Turn errors of the file system into one that says what to do."""
    try:
        yield
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"Cannot put results into {directory}: {error.strerror or error}. Set "
            "DEEPOBS_BASELINE_DIR to a directory that is empty or does not exist."
        ) from error
