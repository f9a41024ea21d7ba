"""Data sets that are read from files, which are downloaded where they are missing."""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from deepobs.data.checksums import mismatch
from deepobs.data.dataset import Splits, TensorDataSet
from deepobs.data.download import RemoteFile, fetch
from deepobs.data.files import OTHERWISE, DataStatus, Layout
from deepobs.errors import CorruptDataError, DataError, MissingDataError, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class FileDataSet(TensorDataSet):
    """A data set whose examples lie in files.

    A subclass says which files these are, where they can be had and how to read them.

    Attributes:
        layouts: The forms in which the files may be there, in the order of looking. Their names
            tell `read` which form was found. A download goes into the first place of the first.
    """

    layouts: ClassVar[tuple[Layout, ...]]

    @classmethod
    @abstractmethod
    def read(cls, paths: Mapping[str, Path]) -> Splits:
        """Read and check all of the data.

        Args:
            paths: Where each file of one of the layouts is.

        Raises:
            CorruptDataError: A file does not hold what it should.
        """

    @classmethod
    @abstractmethod
    def remote_files(cls) -> list[RemoteFile]:
        """What a download consists of, empty where there is none."""

    @classmethod
    def checksums(cls) -> Mapping[str, str]:
        """What is known of the published files: `algorithm:hexadecimal digest` by name."""
        return {}

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Read the examples, downloading them first where they are missing.

        A process reads files once that do not change, however many runs use them.

        Args:
            data_dir: Where data sets are kept.

        Raises:
            MissingDataError: They are not there and cannot be downloaded.
            CorruptDataError: A file does not hold what it should.
            DataError: A file cannot be read.
        """
        paths = cls._find_or_download(data_dir)
        versions = tuple(_version(path) for path in paths.values())
        return _read_once(cls, tuple(paths.items()), versions)

    @classmethod
    def status(cls, data_dir: Path) -> DataStatus:
        """Say whether all files are there, without opening them."""
        paths = cls._find(data_dir)
        if paths is None:
            started = [layout for layout in cls.layouts if not layout.is_absent(data_dir)]
            shortages = "; ".join(layout.lacking(data_dir) for layout in started)
            detail = shortages or "none of its files are there"
            return DataStatus("missing", detail, cls._download_place(data_dir))
        count = f"{len(paths)} files" if len(paths) > 1 else next(iter(paths))
        return DataStatus("ready", f"{count}, not verified", _directory(paths))

    @classmethod
    def prepare(cls, data_dir: Path) -> DataStatus:
        """Download the data where they are missing, and check them.

        Raises:
            DataError: They could not be had, or are broken.
        """
        cls._find_or_download(data_dir)
        return cls.verify(data_dir)

    @classmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Read all of the data and check what can be checked; nothing is downloaded.

        Raises:
            DataError: They are missing or broken.
        """
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
        """Get the files that a directory lacks.

        Raises:
            DownloadError: No mirror delivered one of them.
            DataError: The directory cannot be written to.
        """
        fetch(cls.remote_files(), directory)

    @classmethod
    def _find_or_download(cls, data_dir: Path) -> dict[str, Path]:
        paths = cls._find(data_dir)
        if paths is not None:
            return paths
        try:
            cls.download(cls._download_place(data_dir))
        except DataError as error:
            raise cls._missing(data_dir, f"The download failed. {error}") from error
        paths = cls._find(data_dir)
        if paths is None:
            raise cls._missing(data_dir, "There is nowhere to download them from.")
        return paths

    @classmethod
    def _find(cls, data_dir: Path) -> dict[str, Path] | None:
        """The files of the first layout that is there as a whole, by name; or `None`."""
        found = (layout.find(data_dir) for layout in cls.layouts)
        return next((paths for paths in found if paths is not None), None)

    @classmethod
    def _lacking(cls, data_dir: Path) -> str:
        return "; ".join(layout.lacking(data_dir) for layout in cls.layouts)

    @classmethod
    def _download_place(cls, data_dir: Path) -> Path:
        return cls.layouts[0].places(data_dir)[0]

    @classmethod
    def _authenticity(cls, paths: Mapping[str, Path], splits: Splits) -> str:
        """Whether these are the published files, where that can be told."""
        del splits
        known = cls.checksums()
        if not paths.keys() <= known.keys():
            return ""
        others = [name for name, path in paths.items() if _differs(path, known[name])]
        return f", not as published: {', '.join(others)}" if others else ", as published"

    @classmethod
    def _missing(cls, data_dir: Path, reason: str = "") -> MissingDataError:
        name = cls.spec.name
        forms = "; or ".join(map(str, cls.layouts))
        return MissingDataError(
            sentences(
                f"The data set {name!r} is missing: {cls._lacking(data_dir)}.",
                reason,
                f"Run `deepobs data prepare {name}` where there is a network, copy the files into "
                f"one of these directories, {OTHERWISE}",
                f"The files are {forms}.",
            )
        )


def _directory(paths: Mapping[str, Path]) -> Path:
    return next(iter(paths.values())).parent


def _differs(path: Path, checksum: str) -> bool:
    with path.open("rb") as content:
        return bool(mismatch(content, checksum))


def _version(path: Path) -> tuple[int, int]:
    """What changes with a file's content: its size, and when it was written in nanoseconds."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _read(dataset: type[FileDataSet], paths: Mapping[str, Path]) -> Splits:
    try:
        return dataset.read(paths)
    except CorruptDataError as error:
        name = dataset.spec.name
        raise CorruptDataError(
            f"The data set {name!r} cannot be used. {error} Delete what is broken and "
            f"run `deepobs data prepare {name}`, or put a good copy in its place."
        ) from error
    except OSError as error:
        raise DataError(
            f"The data set {dataset.spec.name!r} cannot be read from "
            f"{error.filename or _directory(paths)}: {error.strerror or error}. "
            "Give this user the right to read it."
        ) from error


@functools.lru_cache(maxsize=2)
def _read_once(
    dataset: type[FileDataSet],
    paths: tuple[tuple[str, Path], ...],
    versions: tuple[tuple[int, int], ...],
) -> Splits:
    """Read these versions of the files; the two data sets used last are kept."""
    del versions
    return _read(dataset, dict(paths))
