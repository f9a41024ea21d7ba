"""Files that hold images together with their labels, among them records of the original DeepOBS.

A file of records has no header: one byte for each label, then the bytes of an image, and so on.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from deepobs.data import FileDataSet, Splits
from deepobs.data.file_dataset import corrupt
from deepobs.errors import CorruptDataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs.data import Examples

ImagesAndLabels: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (N, C, H, W), with any order in memory, and labels (N,)."""

_SIDE = 32
_CHANNELS = 3


class ImageFiles(FileDataSet):
    """A data set spread over files: those whose names begin with "test" are for testing.

    A file may hold any number of images, but all together at most as many as were published.
    """

    @classmethod
    @abstractmethod
    def read_file(cls, name: str, path: Path, most: int) -> ImagesAndLabels:
        """Read one of the files, called `name` in its layout, with `most` images at most.

        Raises:
            CorruptDataError: It has unexpected content.
        """

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> Splits:
        """Read all of the files."""
        test = {name: path for name, path in paths.items() if name.startswith("test")}
        train = {name: path for name, path in paths.items() if name not in test}
        return Splits(
            train=cls._joined(train, cls.spec.train_size),
            test=cls._joined(test, cls.spec.test_size),
        )

    @classmethod
    def _joined(cls, paths: Mapping[str, Path], most: int) -> Examples:
        parts = {name: cls.read_file(name, path, most) for name, path in paths.items()}
        counts = {name: len(labels) for name, (_, labels) in parts.items()}
        total = sum(counts.values())
        if total > most:
            held = ", ".join(f"{name} holds {count}" for name, count in counts.items())
            raise CorruptDataError(
                f"The files in {next(iter(paths.values())).parent} are corrupt: they hold {total} "
                f"images, but {most} were published; they may have been written twice ({held})."
            )
        parts_of_images, parts_of_labels = zip(*parts.values(), strict=True)
        images = np.empty((total, *parts_of_images[0].shape[1:]), dtype=np.uint8)
        # Into a C-contiguous array: otherwise the result would have the parts' order in memory.
        np.concatenate(parts_of_images, out=images)
        return torch.from_numpy(images), torch.from_numpy(np.concatenate(parts_of_labels))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFormat:
    """Format of a record.

    Attributes:
        label_counts: The number of classes of each byte of labels. The last one is used: CIFAR-100
            has the coarse label before it.
        channels_last: Whether images are stored as (H,W,C) instead of (C,H,W).
    """

    label_counts: tuple[int, ...]
    channels_last: bool = False

    @property
    def num_bytes(self) -> int:
        """The length of a record."""
        return len(self.label_counts) + _CHANNELS * _SIDE * _SIDE


def read_records(path: Path, record: RecordFormat, most: int) -> ImagesAndLabels:
    """Read a file of records.

    Args:
        path: The file.
        record: Format of its records.
        most: Maximum number of records.

    Returns:
        Images (N, 3, 32, 32), which share the memory of the records, and labels (N,).

    Raises:
        CorruptDataError: It has unexpected content.
        OSError: It cannot be read.
    """
    # The size is all that tells such a file from another, so it is checked before reading.
    size = path.stat().st_size
    count, rest = divmod(size, record.num_bytes)
    if count > most:
        raise corrupt(
            path,
            f"it holds {count} records, but {most} were published; it may have been written twice",
        )
    if rest:
        raise corrupt(
            path, f"its {size} bytes are not a multiple of {record.num_bytes}, the size of a record"
        )
    if count == 0:
        raise corrupt(path, "it holds no records")
    records = np.frombuffer(path.read_bytes(), dtype=np.uint8).reshape(-1, record.num_bytes)
    for column, label_count in enumerate(record.label_counts):
        wrong = np.flatnonzero(records[:, column] >= label_count)
        if len(wrong):
            raise corrupt(
                path,
                f"byte {column} of record {wrong[0]} is {records[wrong[0], column]}, but should be "
                f"a label from 0 to {label_count - 1}",
            )
    labels = len(record.label_counts)
    pixels = records[:, labels:]
    if record.channels_last:
        images = pixels.reshape(-1, _SIDE, _SIDE, _CHANNELS).transpose(0, 3, 1, 2)
    else:
        images = pixels.reshape(-1, _CHANNELS, _SIDE, _SIDE)
    return images, records[:, labels - 1].astype(np.int64)
