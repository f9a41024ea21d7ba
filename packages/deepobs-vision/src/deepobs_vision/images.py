"""What the image data sets have in common."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ClassVar

import torch

from deepobs.data.loader import ToFloat
from deepobs.data.tensor_dataset import Splits, TensorDataSet
from deepobs_vision.augmentation import augmented, draw_augmentation, standardized
from deepobs_vision.synthetic import synthetic_images

if TYPE_CHECKING:
    from torch import Tensor

    from deepobs.protocols import Batch


class ImageDataSet(TensorDataSet):
    """Images with labels: bytes (N, C, H, W) in memory, batches of numbers from 0 to 1.

    Attributes:
        image_shape: Channels, height and width.
        num_classes: Labels run from 0 to one less.
        largest_value: The byte that becomes 1.
    """

    image_shape: ClassVar[tuple[int, int, int]]
    num_classes: ClassVar[int]
    largest_value: ClassVar[int] = 255

    def transform(self, batch: Batch) -> Batch:
        """Scale the images of a batch.

        Args:
            batch: Images, uint8 of shape (B, C, H, W), and labels, int64 of shape (B,).

        Returns:
            Images of the chosen floating-point type in [0, 1], and the labels.
        """
        images, labels = batch
        return self._to_float(images), labels

    @functools.cached_property
    def _to_float(self) -> ToFloat:
        return ToFloat(self.dtype, self.device, self.largest_value)

    @classmethod
    def make_fake(cls, fraction: float) -> Splits:
        """Make images that can be learnt, with the real shape, labels and split sizes.

        Args:
            fraction: The size of each split as a fraction of the real one, in (0, 1]; a few hundred
                examples are made in any case.
        """
        return synthetic_images(
            cls.spec,
            image_shape=cls.image_shape,
            num_classes=cls.num_classes,
            largest_value=cls.largest_value,
            fraction=fraction,
        )


class AugmentedImages(ImageDataSet):
    """Colour images, standardised one by one, and cropped, flipped and coloured for training.

    Augmentation is random, a new one in every pass, and the same on every device. All other splits
    are without it, `train_eval_loader` too.

    Attributes:
        flips: Whether left and right may be exchanged.
    """

    flips: ClassVar[bool] = True

    def transform(self, batch: Batch) -> Batch:
        """Standardise the images of a batch.

        Args:
            batch: Images, uint8 of shape (B, C, H, W), and labels, int64 of shape (B,).

        Returns:
            Images of the chosen floating-point type with mean 0 and standard deviation 1, and the
            labels.
        """
        images, labels = batch
        return self._standardized(images.to(self._computed_in)), labels

    def transform_training(self, batch: Batch) -> Batch:
        """Augment and standardise the images of a batch.

        Args:
            batch: Images, uint8 of shape (B, C, H, W), and labels, int64 of shape (B,).

        Returns:
            As `transform`.
        """
        images, labels = batch
        augmentation = draw_augmentation(len(images), self.generator, flips=self.flips)
        return self._standardized(augmented(images, augmentation, self._computed_in)), labels

    @property
    def _computed_in(self) -> torch.dtype:
        """Half precision would lose the brightness, and is too narrow for sums of squares."""
        return torch.promote_types(self.dtype, torch.float32)

    def _standardized(self, images: Tensor) -> Tensor:
        return standardized(images).to(self.dtype)
