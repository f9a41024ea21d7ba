"""Base class of image data sets in memory, and their synthetic twins."""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from deepobs.data.tensor_dataset import Splits, TensorDataSet

if TYPE_CHECKING:
    from deepobs.data import Examples
    from deepobs.plugins import DatasetSpec
    from deepobs.protocols import Batch

# Smallest synthetic split, unless the real one is smaller, so that usual batches fit.
_FEWEST_EXAMPLES = 512

# Rows and columns of the pattern of a class: coarse, so that it is learned soon.
_FIELDS = 8


class ImageDataSet(TensorDataSet):
    """Images with labels: bytes (N, C, H, W) in memory, batches of floats in [0, 1].

    Attributes:
        image_shape: Channels, height and width.
        num_classes: Labels run from 0 to one less.
        largest_value: The byte that becomes 1.
    """

    image_shape: ClassVar[tuple[int, int, int]]
    num_classes: ClassVar[int]
    largest_value: ClassVar[int] = 255

    def transform(self, batch: Batch) -> Batch:
        """Scale images, uint8 (B, C, H, W), to correctly rounded floats in [0, 1]."""
        images, labels = batch
        return images.to(self.dtype).div_(self._divisor), labels

    @functools.cached_property
    def _divisor(self) -> torch.Tensor:
        # To divide by a Python number, CUDA multiplies by its reciprocal, which rounds differently.
        return torch.full((), self.largest_value, dtype=self.dtype, device=self.device)

    @classmethod
    def make_fake(cls, fraction: float) -> Splits:
        """Create learnable images with the real shape and labels, at least a few hundred."""
        return synthetic_images(
            cls.spec,
            image_shape=cls.image_shape,
            num_classes=cls.num_classes,
            largest_value=cls.largest_value,
            fraction=fraction,
        )


@functools.lru_cache(maxsize=1)
def synthetic_images(
    spec: DatasetSpec,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    largest_value: int,
    fraction: float,
) -> Splits:
    """Create the synthetic twin of a data set: a pattern for each class, and noise.

    Args:
        spec: The data set; its name and its split sizes determine the images.
        image_shape: Channels, height and width.
        num_classes: Number of about equally frequent classes.
        largest_value: Largest value of a pixel, at most 255.
        fraction: Size of each split as a fraction of the real one.

    Returns:
        Images, uint8 of shape (N, C, H, W), and labels, int64 of shape (N,).
    """
    # NumPy guarantees the stream of RandomState, and global generators stay as they are.
    random = np.random.RandomState(zlib.crc32(spec.name.encode()))
    noise_limit = (largest_value + 1) // 2
    channels, height, width = image_shape
    coarse = random.randint(
        0,
        largest_value - noise_limit + 2,
        (num_classes, channels, _FIELDS, _FIELDS),
        dtype=np.uint8,
    )
    rows = np.arange(height) * _FIELDS // height
    columns = np.arange(width) * _FIELDS // width
    patterns = coarse[:, :, rows[:, None], columns]

    def split(real_size: int) -> Examples:
        size = synthetic_size(real_size, fraction)
        labels = random.permutation(np.arange(size) % num_classes)
        images = random.randint(0, noise_limit, (size, *image_shape), dtype=np.uint8)
        images += patterns[labels]
        return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))

    return Splits(train=split(spec.train_size), test=split(spec.test_size))


def synthetic_size(real_size: int, fraction: float) -> int:
    """Number of synthetic examples: a fraction of the real ones, but at least a few hundred."""
    return max(round(real_size * fraction), min(real_size, _FEWEST_EXAMPLES))
