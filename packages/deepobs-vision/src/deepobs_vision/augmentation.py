"""Color images of 32x32 pixels and their augmentation: whole batches, on any device.

The operations are TensorFlow's, which differ from torchvision's of the same names: saturation is
that of HSV, contrast is relative to the mean of each channel, and no result is clipped to 0 to 255.
Axes in the names of tensors: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from deepobs.errors import ArgumentError
from deepobs_vision.images import ImageDataSet

if TYPE_CHECKING:
    from deepobs.protocols import Batch

PADDING = 2
"""Black pixels on each side before cropping, unless something else is said."""

WIDER_PADDING = 4
"""The same for images that are cropped and flipped alone, as in He et al. 2016."""

BRIGHTNESS = 63 / 255
"""The largest change. Meant for values from 0 to 1, but the original applies it to 0 to 255."""

SATURATION = (0.5, 1.5)
CONTRAST = (0.2, 1.8)

_NUM_OFFSETS = 2 * PADDING + 1
_DRAWS_PER_IMAGE = 6

PREPROCESSING = ("original", "crop_and_flip")
"""How color images are standardized and augmented; see `CroppedImages`."""


class AugmentedImages(ImageDataSet):
    """Color images, standardized one by one, and cropped, flipped and recolored for training.

    Augmentation is random, new in each pass, and the same on every device. All other splits are not
    augmented, nor is `train_eval_loader`.

    Attributes:
        flips: Whether left and right may be exchanged.
    """

    flips: ClassVar[bool] = True

    def transform(self, batch: Batch) -> Batch:
        """Standardize images, uint8 (B, C, H, W), to mean 0 and standard deviation 1."""
        images, labels = batch
        return standardized(images.to(self._computed_in)).to(self.dtype), labels

    def transform_training(self, batch: Batch) -> Batch:
        """Augment and standardize images."""
        images, labels = batch
        augmentation = draw_augmentation(len(images), self.generator, flips=self.flips)
        images = augmented(images, augmentation, self._computed_in)
        return standardized(images).to(self.dtype), labels

    @property
    def _computed_in(self) -> torch.dtype:
        # Half precision would lose the brightness, and is too narrow for sums of squares.
        return torch.promote_types(self.dtype, torch.float32)


class CroppedImages(AugmentedImages):
    """Color images that are prepared as in the original, or as most later papers do it.

    Args:
        batch_size: As for `BaseDataSet`.
        preprocessing: "original" as described above; or "crop_and_flip": for training, images
            are padded with four black pixels, cropped, and half of them flipped, and all
            images are standardized by the mean and the deviation of each channel.
        options: Further arguments of `BaseDataSet`.

    Attributes:
        channel_means: Mean of each channel over the training set, in [0, 1].
        channel_deviations: Standard deviation of each channel over the training set.
    """

    channel_means: ClassVar[tuple[float, float, float]]
    channel_deviations: ClassVar[tuple[float, float, float]]

    def __init__(
        self, batch_size: int, *, preprocessing: str = PREPROCESSING[0], **options: Any
    ) -> None:
        if preprocessing not in PREPROCESSING:
            raise ArgumentError(
                f"preprocessing must be one of {PREPROCESSING}, got {preprocessing!r}."
            )
        self.preprocessing = preprocessing
        super().__init__(batch_size, **options)

    def transform(self, batch: Batch) -> Batch:
        """Standardize images, uint8 (B, C, H, W)."""
        if self.preprocessing == "original":
            return super().transform(batch)
        images, labels = batch
        mean_C11, deviation_C11 = self._channel_statistics
        centered = images.to(self._computed_in).sub_(mean_C11)
        return centered.div_(deviation_C11).to(self.dtype), labels

    def transform_training(self, batch: Batch) -> Batch:
        """Augment and standardize images."""
        if self.preprocessing == "original":
            return super().transform_training(batch)
        images, labels = batch
        return self.transform((cropped_and_flipped(images, self.generator), labels))

    @functools.cached_property
    def _channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each channel of bytes, of shape (C, 1, 1)."""
        # As tensors: to divide by a number, CUDA multiplies by its reciprocal.
        mean_C11, deviation_C11 = (
            torch.tensor(values, dtype=self._computed_in, device=self.device)
            .mul_(self.largest_value)
            .view(-1, 1, 1)
            for values in (self.channel_means, self.channel_deviations)
        )
        return mean_C11, deviation_C11


class Augmentation(NamedTuple):
    """Parameters of the augmentation of each image of a batch.

    Attributes:
        offsets: Row and column of the crop in the padded image, int64 (B, 2).
        is_flipped: Whether left and right are exchanged, bool (B,).
        brightness: Added to every pixel, (B, 1, 1, 1).
        saturation: Factor of the saturation, (B, 1, 1, 1).
        contrast: Factor of the distance from the mean of a channel, (B, 1, 1, 1).
    """

    offsets: Tensor
    is_flipped: Tensor
    brightness: Tensor
    saturation: Tensor
    contrast: Tensor


def draw_augmentation(num_images: int, generator: torch.Generator, *, flips: bool) -> Augmentation:
    """Draw the augmentation of a batch with a CPU generator; half of the images flip, or none."""

    def between(low: float, high: float, uniform: Tensor) -> Tensor:
        return low + (high - low) * uniform

    # Row by row: an image gets the same numbers however many batches are drawn at once.
    draws = torch.rand(
        (num_images, _DRAWS_PER_IMAGE), generator=generator, dtype=torch.float32, device="cpu"
    )
    colors = draws[:, 3:, None, None, None]
    return Augmentation(
        offsets=(draws[:, :2] * _NUM_OFFSETS).long(),
        is_flipped=draws[:, 2] < (0.5 if flips else 0.0),
        brightness=between(-BRIGHTNESS, BRIGHTNESS, colors[:, 0]),
        saturation=between(*SATURATION, colors[:, 1]),
        contrast=between(*CONTRAST, colors[:, 2]),
    )


def augmented(images_BCHW: Tensor, augmentation: Augmentation, dtype: torch.dtype) -> Tensor:
    """Crop, flip and recolor images, in the order of the original.

    Args:
        images_BCHW: Bytes of shape (B, C, H, W).
        augmentation: Parameters for each image.
        dtype: Floating-point type of the computation.

    Returns:
        New images of the same shape, about 0 to 255.
    """
    offsets, is_flipped, *colors = (
        draw.to(images_BCHW.device, non_blocking=True) for draw in augmentation
    )
    brightness, saturation, contrast = (color.to(dtype) for color in colors)
    images_BCHW = cropped(images_BCHW, offsets, is_flipped).to(dtype)
    images_BCHW.add_(brightness)
    saturate_(images_BCHW, saturation)
    return contrast_(images_BCHW, contrast)


def cropped_and_flipped(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Crop images padded with four black pixels anywhere, and flip half of them.

    Args:
        images_BCHW: Images of shape (B, C, H, W).
        generator: A CPU generator; an image gets the same numbers however many are drawn at once.

    Returns:
        New images of the same shape and type.
    """
    draws = torch.rand((len(images_BCHW), 3), generator=generator, device="cpu")
    offsets = (draws[:, :2] * (2 * WIDER_PADDING + 1)).long()
    chosen = (
        draw.to(images_BCHW.device, non_blocking=True) for draw in (offsets, draws[:, 2] < 0.5)
    )
    return cropped(images_BCHW, *chosen, padding=WIDER_PADDING)


def cropped(
    images_BCHW: Tensor, offsets: Tensor, is_flipped: Tensor, *, padding: int = PADDING
) -> Tensor:
    """Crop images padded with black at `offsets` (B, 2), and flip those with `is_flipped` (B,)."""
    shape = images_BCHW.shape
    width = shape[3]
    padded_BCHW = F.pad(images_BCHW, (padding,) * 4)
    pixels = torch.stack([padded_BCHW, padded_BCHW.flip(3)]).flatten()
    # Every row of a crop is a row of this view, which takes no memory. Whole rows are copied at
    # once, while gathering pixels would take four times as long.
    windows = pixels.as_strided((len(pixels) - width + 1, width), (1, 1))
    starts_BCH = _row_starts(padded_BCHW.shape, (shape[2], width), offsets, is_flipped)
    return windows.index_select(0, starts_BCH.flatten()).view(shape)


def _row_starts(
    padded_shape: torch.Size, size: tuple[int, int], offsets: Tensor, is_flipped: Tensor
) -> Tensor:
    """Start of each row of each crop in all pixels: padded images, then the same flipped."""
    (batch, channels, padded_height, padded_width), (height, width) = padded_shape, size
    last = padded_width - width
    columns_B = torch.where(is_flipped, last - offsets[:, 1], offsets[:, 1])
    first_B = columns_B + offsets[:, 0] * padded_width + is_flipped * padded_shape.numel()
    images_and_channels = torch.arange(batch * channels, device=offsets.device)
    channels_BC1 = images_and_channels.view(batch, channels, 1) * (padded_height * padded_width)
    rows_H = torch.arange(height, device=offsets.device) * padded_width
    return channels_BC1 + first_B[:, None, None] + rows_H


def saturate_(images_BCHW: Tensor, factor: Tensor) -> Tensor:
    """Multiply the saturation in HSV, clipped to 1, in place; hue and value stay.

    Value V is the largest of a pixel's channels, saturation (V - smallest) / V, and 0 for V <= 0.

    Args:
        images_BCHW: Floating-point images with three channels, of any scale.
        factor: One per image, (B, 1, 1, 1).
    """
    # With hue and value fixed, the distance of each channel from V is proportional to the
    # saturation: there is no need to compute the hue.
    value_B1HW = images_BCHW.amax(dim=1, keepdim=True)
    distance_B1HW = value_B1HW - images_BCHW.amin(dim=1, keepdim=True)
    # The factor at which the saturation becomes 1. For a gray pixel it is arbitrary, and multiplies
    # a distance of 0.
    smallest = torch.finfo(images_BCHW.dtype).tiny
    most_B1HW = value_B1HW.clamp(min=0) / distance_B1HW.clamp_(min=smallest)
    return _scale_distances_(images_BCHW, value_B1HW, most_B1HW.minimum(factor))


def contrast_(images_BCHW: Tensor, factor: Tensor) -> Tensor:
    """Multiply the distance from the mean of each channel by (B, 1, 1, 1), in place."""
    mean_BC11 = images_BCHW.mean(dim=(2, 3), keepdim=True)
    return _scale_distances_(images_BCHW, mean_BC11, factor)


def _scale_distances_(images_BCHW: Tensor, origin: Tensor, factor: Tensor) -> Tensor:
    return images_BCHW.mul_(factor).add_((1 - factor) * origin)


def standardized(images_BCHW: Tensor) -> Tensor:
    """Give each image mean 0 and standard deviation 1 over all its N values.

    The deviation is that of the population, and at least 1 / sqrt(N): a constant image becomes
    zeros.
    """
    dimensions = (1, 2, 3)
    centered_BCHW = images_BCHW - images_BCHW.mean(dim=dimensions, keepdim=True)
    # sqrt(N) times the deviation; on a CPU the norm is eight times faster than std.
    norm_B111 = torch.linalg.vector_norm(centered_BCHW, dim=dimensions, keepdim=True)
    num_values = math.prod(images_BCHW.shape[1:])
    return centered_BCHW.mul_(math.sqrt(num_values) / norm_B111.clamp(min=1))
