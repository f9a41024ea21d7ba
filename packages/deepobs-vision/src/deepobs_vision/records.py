"""Files of records, the format of the original DeepOBS: labels of a byte each and an image.

There is no header: what a file holds is known from its name alone, and its size is the first thing
that is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepobs.data.layout import corrupt

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from deepobs_vision.image_files import ImagesAndLabels

_SIDE = 32
_CHANNELS = 3
_IMAGE_BYTES = _CHANNELS * _SIDE * _SIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFormat:
    """What a record is made of.

    Attributes:
        label_counts: For every byte of labels, how many labels there are. The last byte is the one
            that counts: CIFAR-100 has the coarse label before it.
        channels_last: Whether the three channels of a pixel follow each other (H,W,C), or the
            three planes do (C,H,W).
    """

    label_counts: tuple[int, ...]
    channels_last: bool = False

    @property
    def num_bytes(self) -> int:
        """The length of a record."""
        return len(self.label_counts) + _IMAGE_BYTES


def read_records(path: Path, record: RecordFormat, most: int) -> ImagesAndLabels:
    """Read a file of records.

    Args:
        path: The file.
        record: What its records are made of.
        most: How many there can be at most.

    Returns:
        Images (N, 3, 32, 32), which share the memory of the records, and labels (N,).

    Raises:
        CorruptDataError: It holds something else, or more.
        OSError: It cannot be read.
    """
    _check_size(path, path.stat().st_size, record, most)
    records = np.frombuffer(path.read_bytes(), dtype=np.uint8).reshape(-1, record.num_bytes)
    _check_labels(path, records, record)
    labels = len(record.label_counts)
    pixels = records[:, labels:]
    if record.channels_last:
        images = pixels.reshape(-1, _SIDE, _SIDE, _CHANNELS).transpose(0, 3, 1, 2)
    else:
        images = pixels.reshape(-1, _CHANNELS, _SIDE, _SIDE)
    return images, records[:, labels - 1].astype(np.int64)


def _check_size(path: Path, size: int, record: RecordFormat, most: int) -> None:
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


def _check_labels(path: Path, records: NDArray[np.uint8], record: RecordFormat) -> None:
    for column, label_count in enumerate(record.label_counts):
        wrong = np.flatnonzero(records[:, column] >= label_count)
        if len(wrong):
            raise corrupt(
                path,
                f"byte {column} of record {wrong[0]} is {records[wrong[0], column]}, but should be "
                f"a label from 0 to {label_count - 1}",
            )
