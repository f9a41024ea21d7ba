"""What the image data sets have in common."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ClassVar

from deepobs.data.dataset import Splits, TensorDataSet
from deepobs.data.loader import ToFloat
from deepobs_vision.synthetic import synthetic_images

if TYPE_CHECKING:
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
