"""Pickles of CIFAR: only the published bytes are loaded, and only arrays come out."""

from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cifar_files import batch, dangerous_pickle, md5, python2_pickle

from deepobs.errors import CorruptDataError
from deepobs_vision.cifar import read_pickled_batch

if TYPE_CHECKING:
    from pathlib import Path


def _records(count: int = 5) -> np.ndarray:
    records = np.random.RandomState(5).randint(0, 256, (count, 3073)).astype(np.uint8)
    records[:, 0] = np.arange(count) % 10
    return records


def _read(path: Path, content: bytes, checksum: str = "") -> tuple[np.ndarray, np.ndarray]:
    path.write_bytes(content)
    expected = f"md5:{checksum or md5(content)}"
    return read_pickled_batch(path, expected, label_key=b"labels", num_classes=10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data_batch_1"


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A file that does not exist, unless a pickle was loaded that makes it."""
    return tmp_path / "trap"


def _dictionary(**changes: Any) -> bytes:
    records = _records()
    entries = {"labels": records[:, 0].tolist(), "data": records[:, 1:].copy(), **changes}
    return python2_pickle(
        {key.encode(): value for key, value in entries.items() if value is not None}
    )


def test_a_pickle_of_python_2_is_read(path: Path) -> None:
    records = _records()
    images, labels = _read(path, batch(records))
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert np.array_equal(images, records[:, 1:].reshape(5, 3, 32, 32))
    assert np.array_equal(labels, records[:, 0])


def test_the_pickle_of_the_tests_is_one_that_python_can_load() -> None:
    records = _records()
    loaded = pickle.loads(batch(records), encoding="latin1")  # noqa: S301 # made here
    assert list(loaded) == ["batch_label", "labels", "data", "filenames"]
    assert np.array_equal(loaded["data"], records[:, 1:])


def test_a_pickle_with_another_checksum_is_refused_and_not_loaded(path: Path, trap: Path) -> None:
    dangerous = dangerous_pickle(trap)
    pattern = rf"{re.escape(str(path))} is corrupt: its md5 checksum is \w+ instead of .*not loaded"
    with pytest.raises(CorruptDataError, match=pattern):
        _read(path, dangerous, checksum=md5(batch(_records())))
    assert not trap.exists()
    pickle.loads(dangerous)  # noqa: S301 # shows that the test can fail
    assert trap.exists()


@pytest.mark.parametrize("is_inside_batch", [False, True])
@pytest.mark.parametrize("protocol", range(6))
def test_a_dangerous_pickle_with_the_right_checksum_is_not_run(
    path: Path, trap: Path, protocol: int, is_inside_batch: bool
) -> None:
    content = dangerous_pickle(trap, protocol=protocol, is_inside_batch=is_inside_batch)
    with pytest.raises(CorruptDataError, match=r"it refers to (posix|nt|os)\.mkdir"):
        _read(path, content)
    assert not trap.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"cbuiltins\neval\n",
        b"c__builtin__\neval\n",
        b"cnumpy.core.multiarray\nscalar\n",
        b"cnumpy\nload\n",
        b"cnumpy\nndarray.tofile\n",
        b"\x8c\x05numpy\x8c\x0endarray.tofile\x93",
    ],
)
def test_nothing_but_what_the_published_files_need_is_admitted(path: Path, name: bytes) -> None:
    with pytest.raises(CorruptDataError, match="it refers to "):
        _read(path, b"\x80\x04" + name + b".")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (python2_pickle([b"data", b"labels"]), "no dictionary with data and labels"),
        (_dictionary(labels=None), "no dictionary with data and labels"),
        (_dictionary(data=None), "no dictionary with data and labels"),
        (_dictionary(labels=[0, 1, 2, 3, 10]), "labels from 0 to 10"),
        (_dictionary(labels=[0, 1, 2, 3, -1]), "labels from -1 to 3"),
        (_dictionary(labels=[0, 1, 2, 3]), "come with 4 labels"),
        (_dictionary(labels=[b"0"] * 5), "no list of integers"),
        (_dictionary(labels=[[0], [1]]), "no list of integers"),
        (_dictionary(data=b"0" * 3072), "no array of bytes"),
        (_dictionary(data=np.zeros((5, 3071), np.uint8)), r"shape \(5, 3071\)"),
        (_dictionary()[:-1], "Ran out of input"),
        (_dictionary()[:3000], "truncated"),
        (b"<!DOCTYPE html>", "invalid load key"),
        (b"", "Ran out of input"),
    ],
)
def test_a_broken_pickle_with_the_right_checksum_is_named(
    path: Path, content: bytes, reason: str
) -> None:
    pattern = rf"{re.escape(str(path))} is corrupt: it does not hold a batch of images.*{reason}"
    with pytest.raises(CorruptDataError, match=pattern):
        _read(path, content)


def test_a_file_that_is_far_too_large_is_not_read(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(2**40)  # takes neither disk nor memory
    with pytest.raises(CorruptDataError, match="larger than 268435456 bytes"):
        read_pickled_batch(path, "md5:0", label_key=b"labels", num_classes=10)
