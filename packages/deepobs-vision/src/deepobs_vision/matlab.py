"""The MATLAB files in which SVHN is published."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from deepobs.data.layout import corrupt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepobs_vision.image_files import ImagesAndLabels

_IMAGES, _LABELS = "X", "y"
_SIZE = (32, 32, 3)
_TEN = 10
_BYTES = {"uint8"}
_NUMBERS = {"uint8", "int8", "uint16", "int16", "uint32", "int32", "single", "double"}
"""MATLAB's classes that are read: never its objects, functions or cells."""


def read_mat(path: Path, most: int) -> ImagesAndLabels:
    """Read a file of house numbers.

    Args:
        path: A MATLAB file, version 5, with the images X (32, 32, 3, N) and their labels y (N, 1)
            from 1 to 10, where 10 means the digit 0.
        most: How many images there can be at most.

    Returns:
        Images (N, 3, 32, 32), in the file's order in memory, and labels (N,) from 0 to 9.

    Raises:
        CorruptDataError: It holds something else, or more.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        try:
            return _images_and_labels(stream, most)
        except Exception as error:  # scipy raises a dozen kinds
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise corrupt(path, f"it does not hold images as SVHN has them ({error})") from error


def _images_and_labels(stream: IO[bytes], most: int) -> ImagesAndLabels:
    from scipy.io import loadmat  # takes a second, and other data sets do not need it

    _check_header(stream, most)
    stream.seek(0)
    content = loadmat(stream, variable_names=[_IMAGES, _LABELS])
    images, labels = content[_IMAGES], content[_LABELS].ravel()
    wrong = np.flatnonzero(~np.isin(labels, np.arange(1, _TEN + 1)))
    if len(wrong):
        raise ValueError(f"label {wrong[0]} is {labels[wrong[0]]}, but should be from 1 to {_TEN}")
    return images.transpose(3, 2, 0, 1), labels.astype(np.int64) % _TEN


def _check_header(stream: IO[bytes], most: int) -> None:
    """Refuse what is not to be read before reading it."""
    from scipy.io import whosmat

    stream.seek(0)
    found = whosmat(stream)
    images_shape, labels_shape = _shape(_IMAGES, found, _BYTES), _shape(_LABELS, found, _NUMBERS)
    count = images_shape[-1]
    if images_shape != (*_SIZE, count) or labels_shape != (count, 1):
        raise ValueError(f"{_IMAGES} and {_LABELS} have the shapes {images_shape}, {labels_shape}")
    if not 0 < count <= most:
        raise ValueError(f"it holds {count} images, but {most} were published")


def _shape(
    name: str, variables: Sequence[tuple[str, tuple[int, ...], str]], admitted: set[str]
) -> tuple[int, ...]:
    """The shape of a variable, where it is there once and of an admitted class."""
    found = [(shape, kind) for other, shape, kind in variables if other == name]
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} variables {name} instead of one")
    shape, kind = found[0]
    if kind not in admitted:
        raise ValueError(f"its variable {name} is of MATLAB's class {kind}")
    return shape
