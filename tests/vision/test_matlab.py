"""MATLAB files of SVHN: what is read, and what is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.io import savemat

from deepobs.errors import CorruptDataError
from deepobs_vision.svhn import read_mat

if TYPE_CHECKING:
    from pathlib import Path

_LABELS = np.array([10, 1, 9, 7, 1, 6, 7, 3, 2, 4, 5, 8], dtype=np.uint8)[:, None]


def _images(count: int = 12) -> np.ndarray:
    return np.random.RandomState(4).randint(0, 256, (32, 32, 3, count)).astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train_32x32.mat"


@pytest.mark.parametrize("is_compressed", [True, False])
@pytest.mark.parametrize("label_type", [np.uint8, np.float64])
def test_images_and_labels_are_read(path: Path, is_compressed: bool, label_type: Any) -> None:
    variables = {"X": _images(), "y": _LABELS.astype(label_type)}
    savemat(path, variables, do_compression=is_compressed)
    images, labels = read_mat(path, 12)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert np.array_equal(images, _images().transpose(3, 2, 0, 1))
    assert labels.tolist() == [0, 1, 9, 7, 1, 6, 7, 3, 2, 4, 5, 8]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"X": None}, "it has 0 variables X instead of one"),
        ({"y": None}, "it has 0 variables y instead of one"),
        ({"X": _images(11)}, r"X and y have the shapes \(32, 32, 3, 11\), \(12, 1\)"),
        ({"X": _images()[:, :, :1]}, r"the shapes \(32, 32, 1, 12\)"),
        ({"X": _images().transpose(3, 0, 1, 2)}, r"the shapes \(12, 32, 32, 3\)"),
        ({"y": _LABELS.T}, r"\(1, 12\)"),
        ({"X": _images().astype(np.float64)}, "variable X is of MATLAB's class double"),
        ({"y": np.where(_LABELS == 10, 0, _LABELS)}, "label 0 is 0, but should be from 1 to 10"),
        ({"y": np.where(_LABELS == 6, 11, _LABELS)}, "label 5 is 11"),
        ({"y": _LABELS + 0.5}, r"label 0 is 10\.5"),
        ({"y": {"a": 1}}, "y is of MATLAB's class struct"),
        ({"y": np.array([["text"]], dtype=object)}, "y is of MATLAB's class cell"),
        ({"y": "a text"}, "y is of MATLAB's class char"),
    ],
)
def test_other_content_is_refused(path: Path, changes: dict[str, Any], reason: str) -> None:
    variables = {"X": _images(), "y": _LABELS, **changes}
    savemat(path, {name: value for name, value in variables.items() if value is not None})
    pattern = rf"{re.escape(str(path))} is corrupt: it does not hold images as SVHN .*{reason}"
    with pytest.raises(CorruptDataError, match=pattern):
        read_mat(path, 12)


def test_a_variable_that_comes_twice_is_refused(path: Path, tmp_path: Path) -> None:
    savemat(path, {"X": _images(), "y": _LABELS})
    savemat(tmp_path / "other.mat", {"X": {"a": 1}})
    header = 128
    with path.open("ab") as stream:
        stream.write((tmp_path / "other.mat").read_bytes()[header:])
    with pytest.raises(CorruptDataError, match="it has 2 variables X instead of one"):
        read_mat(path, 12)


def test_more_images_than_published_are_refused(path: Path) -> None:
    savemat(path, {"X": _images(), "y": _LABELS})
    with pytest.raises(CorruptDataError, match="it holds 12 images, but 11 were published"):
        read_mat(path, 11)


@pytest.mark.parametrize("is_compressed", [True, False])
@pytest.mark.parametrize("kept", [0, 1, 100, 128, 140, 1000, -5])
def test_a_truncated_file_is_named(path: Path, kept: int, is_compressed: bool) -> None:
    savemat(path, {"X": _images(), "y": _LABELS}, do_compression=is_compressed)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CorruptDataError, match=rf"{re.escape(str(path))} is corrupt"):
        read_mat(path, 12)


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html>" * 20, bytes(500), b"\x89HDF\r\n\x1a\n" * 99]
)
def test_what_is_no_matlab_file_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=rf"{re.escape(str(path))} is corrupt"):
        read_mat(path, 12)


def test_damage_in_compressed_content_is_named(path: Path) -> None:
    savemat(path, {"X": _images(), "y": _LABELS}, do_compression=True)
    content = bytearray(path.read_bytes())
    content[20000:20100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=rf"{re.escape(str(path))} is corrupt"):
        read_mat(path, 12)


def test_a_directory_in_place_of_a_file_is_not_called_corrupt(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_mat(tmp_path, 12)
