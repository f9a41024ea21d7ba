"""Data sets that are read from files, which are downloaded where they are missing."""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from deepobs.data.dataset import Splits, TensorDataSet
from deepobs.data.download import RemoteFile, fetch
from deepobs.data.files import DataStatus, Layout
from deepobs.errors import CorruptDataError, DataError, MissingDataError, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class FileDataSet(TensorDataSet):
    """A data set whose examples lie in files.

    A subclass says which files these are, where they can be had and how to read them.

    Attributes:
        layout: The files and where they may be.
    """

    layout: ClassVar[Layout]

    @classmethod
    @abstractmethod
    def read(cls, paths: Mapping[str, Path]) -> Splits:
        """Read and check all of the data.

        Args:
            paths: Where each file of the layout is.

        Raises:
            CorruptDataError: A file does not hold what it should.
        """

    @classmethod
    @abstractmethod
    def remote_files(cls) -> list[RemoteFile]:
        """What a download consists of, empty where there is none."""

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
        paths = cls.layout.find(data_dir)
        if paths is None:
            return DataStatus(
                "missing", cls.layout.lacking(data_dir), cls.layout.places(data_dir)[0]
            )
        return DataStatus(
            "ready", f"{len(paths)} files, not verified", next(iter(paths.values())).parent
        )

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
        paths = cls.layout.find(data_dir)
        if paths is None:
            raise cls._missing(data_dir)
        splits = _read(cls, paths)
        sizes = len(splits.train[0]), len(splits.test[0])
        published = cls.spec.train_size, cls.spec.test_size
        detail = f"{sizes[0]} training and {sizes[1]} test examples"
        if sizes != published:
            detail += f" (published were {published[0]} and {published[1]})"
        detail += f", fingerprint {splits.fingerprint[:12]}"
        return DataStatus("ready", detail, next(iter(paths.values())).parent)

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
        paths = cls.layout.find(data_dir)
        if paths is not None:
            return paths
        try:
            cls.download(cls.layout.places(data_dir)[0])
        except DataError as error:
            raise cls._missing(data_dir, f"The download failed. {error}") from error
        paths = cls.layout.find(data_dir)
        if paths is None:
            raise cls._missing(data_dir, "There is nowhere to download them from.")
        return paths

    @classmethod
    def _missing(cls, data_dir: Path, reason: str = "") -> MissingDataError:
        name = cls.spec.name
        packed = " or ".join(suffix for suffix in cls.layout.suffixes if suffix)
        return MissingDataError(
            sentences(
                f"The data set {name!r} is missing: {cls.layout.lacking(data_dir)}.",
                reason,
                f"Run `deepobs data prepare {name}` where there is a network, copy the files into "
                "one of these directories, or name another data directory by --data-dir or "
                "DEEPOBS_DATA_DIR. Synthetic data stand in with `--fake-data` or "
                f"DEEPOBS_FAKE_DATA=1. The files are {', '.join(cls.layout.file_names)}"
                f"{f', plain or with {packed}' if packed else ''}.",
            )
        )


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
            f"{error.filename or next(iter(paths.values())).parent}: {error.strerror or error}."
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
