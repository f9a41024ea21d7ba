"""Files of records: orders of the bytes, sizes and labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deepobs.errors import CorruptDataError
from deepobs_vision.image_files import RecordFormat, read_records

if TYPE_CHECKING:
    from pathlib import Path

_ONE_LABEL = RecordFormat(label_counts=(10,))
_TWO_LABELS = RecordFormat(label_counts=(20, 100))
_SVHN = RecordFormat(label_counts=(10,), channels_last=True)


def _records(record: RecordFormat, count: int = 6) -> np.ndarray:
    random = np.random.RandomState(3)
    labels = [random.randint(0, most, (count, 1)) for most in record.label_counts]
    return np.hstack([*labels, random.randint(0, 256, (count, 3072))]).astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.bin"


def test_planes_follow_each_other_after_one_label(path: Path) -> None:
    records = _records(_ONE_LABEL)
    path.write_bytes(records.tobytes())
    images, labels = read_records(path, _ONE_LABEL, 6)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert np.array_equal(images, records[:, 1:].reshape(6, 3, 32, 32))
    assert np.array_equal(labels, records[:, 0])


def test_the_second_label_counts_and_is_no_part_of_the_image(path: Path) -> None:
    records = _records(_TWO_LABELS)
    path.write_bytes(records.tobytes())
    images, labels = read_records(path, _TWO_LABELS, 6)
    assert np.array_equal(images, records[:, 2:].reshape(6, 3, 32, 32))
    assert np.array_equal(labels, records[:, 1])


def test_channels_of_a_pixel_may_follow_each_other(path: Path) -> None:
    records = _records(_SVHN)
    path.write_bytes(records.tobytes())
    images, _ = read_records(path, _SVHN, 6)
    assert images.shape == (6, 3, 32, 32)
    for channel in range(3):
        assert np.array_equal(images[4, channel].ravel(), records[4, 1 + channel :: 3])


@pytest.mark.parametrize("record", [_ONE_LABEL, _TWO_LABELS, _SVHN])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_with_part_of_a_record_is_refused(
    path: Path, record: RecordFormat, change: int
) -> None:
    content = _records(record).tobytes()
    path.write_bytes(content[:change] if change < 0 else content + b"1")
    size = len(content) + change
    pattern = rf"{re.escape(str(path))} is corrupt: its {size} bytes are .* {record.num_bytes}, the"
    with pytest.raises(CorruptDataError, match=pattern):
        read_records(path, record, 6)


def test_an_empty_file_is_refused(path: Path) -> None:
    path.touch()
    with pytest.raises(CorruptDataError, match="holds no records"):
        read_records(path, _ONE_LABEL, 6)


def test_more_records_than_published_are_refused_unread(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(2 * 2**30 * _ONE_LABEL.num_bytes)  # takes neither disk nor memory
    with pytest.raises(
        CorruptDataError, match=r"holds 2147483648 records, but 6 were published; .* written twice"
    ):
        read_records(path, _ONE_LABEL, 6)


@pytest.mark.parametrize(
    ("record", "column", "label", "most"),
    [
        (_ONE_LABEL, 0, 10, 9),
        (_SVHN, 0, 10, 9),
        (_TWO_LABELS, 0, 20, 19),
        (_TWO_LABELS, 1, 100, 99),
    ],
)
def test_a_label_that_does_not_exist_is_refused(
    path: Path, record: RecordFormat, column: int, label: int, most: int
) -> None:
    records = _records(record)
    records[4, column] = label
    path.write_bytes(records.tobytes())
    pattern = f"byte {column} of record 4 is {label}, but should be a label from 0 to {most}"
    with pytest.raises(CorruptDataError, match=pattern):
        read_records(path, record, 6)


def test_records_of_cifar10_are_not_taken_for_cifar100(path: Path) -> None:
    path.write_bytes(_records(_ONE_LABEL, 3074).tobytes())
    with pytest.raises(CorruptDataError, match=r"byte 0 of record \d+ is"):
        read_records(path, _TWO_LABELS, 3073)
