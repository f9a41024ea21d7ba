"""Synthetic twins of the image data sets: a pattern for each class, and noise.

They stand in where the real images are missing: a new optimizer or an installation can be tried out
on them, and a model learns to tell the classes apart. The numbers that come out mean nothing.
"""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepobs.data.tensor_dataset import Examples, Splits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepobs.plugins import DatasetSpec

_LEAST_EXAMPLES = 512
"""A split is not made smaller than this unless the real one is, so that usual batches fit."""

_FIELDS = 8
"""A pattern has at most so many fields a row and a column: coarse, so that it is learnt soon."""


@functools.lru_cache(maxsize=1)
def synthetic_images(
    spec: DatasetSpec,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    largest_value: int,
    fraction: float,
) -> Splits:
    """Make the twin of a data set: always the same one for the same arguments.

    The last one is kept: runs on one data set follow each other.

    Args:
        spec: The data set; its name and its split sizes count.
        image_shape: Channels, height and width.
        num_classes: Every class is about equally frequent.
        largest_value: The largest value of a pixel, at most 255.
        fraction: The size of each split as a fraction of the real one.

    Returns:
        Images, uint8 of shape (N, C, H, W), and labels, int64 of shape (N,).
    """
    # A stream that NumPy promises to keep; the global generators are neither used nor changed.
    random = np.random.RandomState(zlib.crc32(spec.name.encode()))
    noise_limit = (largest_value + 1) // 2
    patterns = _patterns(random, image_shape, num_classes, largest_value - noise_limit + 1)

    def split(real_size: int) -> Examples:
        size = split_size(real_size, fraction)
        labels = random.permutation(np.arange(size) % num_classes)
        images = random.randint(0, noise_limit, (size, *image_shape), dtype=np.uint8)
        images += patterns[labels]
        return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))

    return Splits(train=split(spec.train_size), test=split(spec.test_size))


def split_size(real_size: int, fraction: float) -> int:
    """How many examples to make.

    Args:
        real_size: How many the real split has.
        fraction: The size wanted as a fraction of it; a few hundred are made in any case.
    """
    return max(round(real_size * fraction), min(real_size, _LEAST_EXAMPLES))


def _patterns(
    random: np.random.RandomState,
    image_shape: tuple[int, int, int],
    num_classes: int,
    largest_value: int,
) -> NDArray[np.uint8]:
    """Fields of random brightness, one pattern a class, shape (classes, C, H, W)."""
    channels, height, width = image_shape
    coarse_shape = (num_classes, channels, _FIELDS, _FIELDS)
    coarse = random.randint(0, largest_value + 1, coarse_shape, dtype=np.uint8)
    rows = np.arange(height) * _FIELDS // height
    columns = np.arange(width) * _FIELDS // width
    return coarse[:, :, rows[:, None], columns]
