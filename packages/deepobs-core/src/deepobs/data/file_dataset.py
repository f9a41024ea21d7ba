"""Data sets that are read from files, which are downloaded if missing."""

from __future__ import annotations

import functools
import gzip
import zlib
from abc import abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from deepobs.data.base import DataStatus
from deepobs.data.download import RemoteFile, fetch, mismatch
from deepobs.data.tensor_dataset import Splits, TensorDataSet
from deepobs.errors import CorruptDataError, DataError, MissingDataError, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedIOBase
    from pathlib import Path

OTHERWISE = (
    "or name another data directory by --data-dir or DEEPOBS_DATA_DIR. "
    "Synthetic data stand in with `--fake-data` or DEEPOBS_FAKE_DATA=1."
)
"""Alternatives to providing missing data: the end of a sentence that says where to put them."""

_GZIP_MAGIC = b"\x1f\x8b"

# More file names than this are abbreviated.
_MOST_NAMES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Files that make up a data set, and the directories they may be in.

    A data set published in several formats has one layout for each, with different file names.

    Attributes:
        file_names: Names of the required files.
        directories: Candidates below the data directory, in order of preference. One of them must
            hold all of the files; a download goes to the first.
        suffixes: What may follow a name, such as ".gz", in order of preference.
        optional: Names of further files, read if present in the same directory.
    """

    file_names: tuple[str, ...]
    directories: tuple[str, ...]
    suffixes: tuple[str, ...] = ("",)
    optional: tuple[str, ...] = ()

    def places(self, data_dir: Path) -> list[Path]:
        """The candidate directories."""
        return [data_dir / directory for directory in self.directories]

    def find(self, data_dir: Path) -> dict[str, Path] | None:
        """The files of the first complete directory, by name; or `None`."""
        # All from one directory: files of two downloads may not belong together.
        for place in self.places(data_dir):
            found = self._found(place, self.file_names)
            if len(found) == len(self.file_names):
                return found | self._found(place, self.optional)
        return None

    def is_absent(self, data_dir: Path) -> bool:
        """Whether none of the files is in any of the directories."""
        return not any(self._found(place, self.file_names) for place in self.places(data_dir))

    def lacking(self, data_dir: Path) -> str:
        """Describe which files are missing from which directories, without a final period."""
        empty, shortages = [], []
        for place in self.places(data_dir):
            found = self._found(place, self.file_names)
            absent = ", ".join(name for name in self.file_names if name not in found)
            if found:
                shortages.append(f"{place} lacks {absent}")
            else:
                empty.append(str(place))
        if empty:
            count = len(self.file_names)
            what = f"none of the {count} files" if count > 1 else f"no {self.file_names[0]}"
            shortages.append(f"{what} in {' or '.join(empty)}")
        return "; ".join(shortages)

    def __str__(self) -> str:
        names = self.file_names
        if len(names) > _MOST_NAMES:
            names = (*names[:2], "...", names[-1])
        packed = " or ".join(suffix for suffix in self.suffixes if suffix)
        return ", ".join(names) + (f", plain or with {packed}" if packed else "")

    def _found(self, place: Path, names: tuple[str, ...]) -> dict[str, Path]:
        found = {}
        for name in names:
            candidates = (place / f"{name}{suffix}" for suffix in self.suffixes)
            path = next(filter(_is_file, candidates), None)
            if path is not None:
                found[name] = path
        return found


class FileDataSet(TensorDataSet):
    """A data set read from files.

    A subclass defines which files these are, where to download them and how to read them.

    Attributes:
        layouts: The supported formats, in order of preference. Their file names tell `read` which
            one was found. A download goes to the first directory of the first.
    """

    layouts: ClassVar[tuple[Layout, ...]]

    @classmethod
    @abstractmethod
    def read(cls, paths: Mapping[str, Path]) -> Splits:
        """Read and check all of the data.

        Args:
            paths: The path of each file of one of the layouts, by name.

        Raises:
            CorruptDataError: A file has unexpected content.
        """

    @classmethod
    @abstractmethod
    def remote_files(cls) -> list[RemoteFile]:
        """The files to download, empty if there is no source."""

    @classmethod
    def checksums(cls) -> Mapping[str, str]:
        """Known checksums of published files: `algorithm:hexadecimal digest` by name."""
        return {}

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Read the examples, downloading them first if missing.

        Raises:
            MissingDataError: They are missing and cannot be downloaded.
            CorruptDataError: A file has unexpected content.
            DataError: A file cannot be read.
        """
        paths = cls._find_or_download(data_dir)
        stats = [path.stat() for path in paths.values()]
        versions = tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)
        return _read_once(cls, tuple(paths.items()), versions)

    @classmethod
    def status(cls, data_dir: Path) -> DataStatus:
        """Check whether all files are present, without opening them."""
        paths = cls._find(data_dir)
        if paths is None:
            started = [layout for layout in cls.layouts if not layout.is_absent(data_dir)]
            shortages = "; ".join(layout.lacking(data_dir) for layout in started)
            detail = shortages or "no files found"
            return DataStatus("missing", detail, cls._download_place(data_dir))
        # Files are not opened: `deepobs data status` asks this of every data set at once.
        count = f"{len(paths)} files" if len(paths) > 1 else next(iter(paths))
        return DataStatus("ready", f"{count}, not verified", _directory(paths))

    @classmethod
    def prepare(cls, data_dir: Path) -> DataStatus:
        """Download the data if missing, and verify them."""
        cls._find_or_download(data_dir)
        return cls.verify(data_dir)

    @classmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Read and check all of the data; download nothing."""
        paths = cls._find(data_dir)
        if paths is None:
            raise cls._missing(data_dir)
        splits = _read(cls, paths)
        sizes = cls.described_sizes(cls.count(splits.train), cls.count(splits.test))
        authenticity = cls._authenticity(paths, splits)
        detail = f"{sizes}, fingerprint {splits.fingerprint[:12]}{authenticity}"
        return DataStatus("ready", detail, _directory(paths))

    @classmethod
    def download(cls, directory: Path) -> None:
        """Download the files that a directory lacks."""
        fetch(cls.remote_files(), directory)

    @classmethod
    def _find_or_download(cls, data_dir: Path) -> dict[str, Path]:
        paths = cls._find(data_dir)
        if paths is not None:
            return paths
        # Without a lock so far: complete data must be usable from a read-only directory.
        try:
            cls.download(cls._download_place(data_dir))
        except DataError as error:
            raise cls._missing(data_dir, f"The download failed. {error}") from error
        paths = cls._find(data_dir)
        if paths is None:
            raise cls._missing(data_dir, "There is no source to download them from.")
        return paths

    @classmethod
    def _find(cls, data_dir: Path) -> dict[str, Path] | None:
        """The files of the first complete layout, by name; or `None`."""
        found = (layout.find(data_dir) for layout in cls.layouts)
        return next((paths for paths in found if paths is not None), None)

    @classmethod
    def _download_place(cls, data_dir: Path) -> Path:
        return cls.layouts[0].places(data_dir)[0]

    @classmethod
    def _authenticity(cls, paths: Mapping[str, Path], splits: Splits) -> str:
        """Whether these are the published files, if that is known."""
        del splits
        known = cls.checksums()
        if not paths.keys() <= known.keys():
            return ""
        others = [name for name, path in paths.items() if _differs(path, known[name])]
        return f", not as published: {', '.join(others)}" if others else ", as published"

    @classmethod
    def _missing(cls, data_dir: Path, reason: str = "") -> MissingDataError:
        name = cls.spec.name
        lacking = "; ".join(layout.lacking(data_dir) for layout in cls.layouts)
        return MissingDataError(
            sentences(
                f"The data set {name!r} is missing: {lacking}.",
                reason,
                f"Run `deepobs data prepare {name}` on a machine with a network, copy the files "
                f"into one of these directories, {OTHERWISE}",
                f"The files are {'; or '.join(map(str, cls.layouts))}.",
            )
        )


def corrupt(path: Path, what: str) -> CorruptDataError:
    """Create the error for a file with unexpected content.

    Args:
        path: The file.
        what: A sentence without capital and period in which "it" is the file.
    """
    return CorruptDataError(f"The file {path} is corrupt: {what}.")


@contextmanager
def unpacked(path: Path) -> Iterator[BufferedIOBase]:
    """Open a plain file or one compressed by gzip for reading.

    Args:
        path: The file; its first bytes tell whether it is compressed, not its name.

    Raises:
        CorruptDataError: Its compressed content is damaged or incomplete.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        is_compressed = stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        stream.seek(0)
        try:
            yield gzip.GzipFile(fileobj=stream) if is_compressed else stream
        except EOFError as error:
            raise corrupt(path, "it is truncated: its compressed content breaks off") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise corrupt(path, f"its compressed content is damaged ({error})") from error


def _is_file(path: Path) -> bool:
    # Before Python 3.14, is_file raises where a parent directory cannot be searched.
    try:
        return path.is_file()
    except PermissionError:
        return False


def _directory(paths: Mapping[str, Path]) -> Path:
    return next(iter(paths.values())).parent


def _differs(path: Path, checksum: str) -> bool:
    with path.open("rb") as content:
        return bool(mismatch(content, checksum))


def _read(dataset: type[FileDataSet], paths: Mapping[str, Path]) -> Splits:
    try:
        return dataset.read(paths)
    except CorruptDataError as error:
        name = dataset.spec.name
        raise CorruptDataError(
            f"The data set {name!r} cannot be used. {error} Delete the corrupt file and "
            f"run `deepobs data prepare {name}`, or replace it with a good copy."
        ) from error
    # After CorruptDataError, which names the file already; others are about permissions and disks.
    except OSError as error:
        raise DataError(
            f"The data set {dataset.spec.name!r} cannot be read from "
            f"{error.filename or _directory(paths)}: {error.strerror or error}. "
            "Give this user permission to read it."
        ) from error


# Tuning and sweeps make many runs of one data set in one process, which should read it only once.
# Versions are part of the key, so that files changed in the meantime are read again.
@functools.lru_cache(maxsize=2)
def _read_once(
    dataset: type[FileDataSet],
    paths: tuple[tuple[str, Path], ...],
    versions: tuple[tuple[int, int], ...],
) -> Splits:
    del versions
    return _read(dataset, dict(paths))
