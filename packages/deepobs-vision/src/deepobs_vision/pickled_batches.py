"""The pickles in which CIFAR is published.

A pickle can run any code when it is loaded. So one is loaded only if it is, byte by byte, the file
that was published; and then with an unpickler that makes arrays of numbers, and calls nothing else.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs.data.download import mismatch
from deepobs.data.layout import corrupt

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs_vision.image_files import ImagesAndLabels

_IMAGE_SHAPE = (3, 32, 32)
_MOST_BYTES = 2**28
"""Somewhat more than the training set of CIFAR-100, the largest of these files."""

_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}
"""All that the published files refer to. Dictionaries, lists and strings need no reference."""


def read_pickled_batch(
    path: Path, checksum: str, *, label_key: bytes, num_classes: int
) -> ImagesAndLabels:
    """Read a file of CIFAR in the form for Python.

    Args:
        path: The file.
        checksum: That of the published one, `algorithm:hexadecimal digest`.
        label_key: What it calls its labels.
        num_classes: Labels run from 0 to one less.

    Returns:
        Images (N, 3, 32, 32) and labels (N,).

    Raises:
        CorruptDataError: It is not the published file, or holds something else.
        OSError: It cannot be read.
    """
    content = _verified(path, checksum)
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        return _images_and_labels(batch, label_key, num_classes)
    except Exception as error:  # there is no end to what a broken pickle can raise
        raise corrupt(path, f"it does not hold a batch of images ({error})") from error


def _verified(path: Path, checksum: str) -> bytes:
    """The content, if it is the published one: what is compared is what is then loaded."""
    if path.stat().st_size > _MOST_BYTES:
        raise corrupt(path, f"it is larger than {_MOST_BYTES} bytes")
    content = path.read_bytes()
    wrong = mismatch(io.BytesIO(content), checksum)
    if wrong:
        raise corrupt(path, f"{wrong}; as a pickle can run any code, it was not loaded")
    return content


class _ArraysOnly(pickle.Unpickler):
    """Loads dictionaries, lists, strings and arrays of numbers."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Find what a pickle wants to call."""
        if (module_name, global_name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it refers to {module_name}.{global_name}")
        return super().find_class(module_name, global_name)


def _images_and_labels(batch: Any, label_key: bytes, num_classes: int) -> ImagesAndLabels:
    if type(batch) is not dict or not {b"data", label_key} <= batch.keys():
        raise TypeError(f"it is no dictionary with data and {label_key.decode()}")
    pixels = batch[b"data"]
    labels = np.array(batch[label_key])
    if type(pixels) is not np.ndarray or pixels.dtype != np.uint8:
        raise TypeError("the data are no array of bytes")
    if labels.ndim != 1 or labels.dtype.kind != "i":
        raise TypeError("the labels are no list of whole numbers")
    if pixels.shape != (len(labels), np.prod(_IMAGE_SHAPE)):
        raise ValueError(f"data of shape {pixels.shape} come with {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"there are labels from {labels.min()} to {labels.max()}")
    return pixels.reshape(-1, *_IMAGE_SHAPE), labels.astype(np.int64)
