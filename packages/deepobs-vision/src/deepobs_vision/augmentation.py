"""What happens to colour images of 32x32 pixels before training: whole batches, on any device.

The operations are TensorFlow's, which differ from torchvision's of the same names: saturation is
that of HSV, contrast is taken around the mean of every channel, and no result is cut off at 0 or
255. Each image has one draw of everything. Axes in the names of tensors: B batch, C channels,
H height, W width.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

PADDING = 2
"""Black pixels on each side before cropping."""

BRIGHTNESS = 63 / 255
"""The largest change. Meant for values from 0 to 1, but the original applies it to 0 to 255."""

SATURATION = (0.5, 1.5)
CONTRAST = (0.2, 1.8)

_NUM_OFFSETS = 2 * PADDING + 1
_DRAWS_PER_IMAGE = 6


class Augmentation(NamedTuple):
    """What is done to each image of a batch.

    Attributes:
        offsets: Row and column where the crop begins in the padded image, int64 (B, 2).
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
    """Draw what is done to the images of a batch.

    An image takes the same six random numbers however many images are drawn for at once.

    Args:
        num_images: Size of the batch.
        generator: A generator on the CPU.
        flips: Whether half of the images are flipped, or none.
    """
    draws = torch.rand(
        (num_images, _DRAWS_PER_IMAGE), generator=generator, dtype=torch.float32, device="cpu"
    )
    colours = draws[:, 3:, None, None, None]
    return Augmentation(
        offsets=(draws[:, :2] * _NUM_OFFSETS).long(),
        is_flipped=draws[:, 2] < (0.5 if flips else 0.0),
        brightness=_between(-BRIGHTNESS, BRIGHTNESS, colours[:, 0]),
        saturation=_between(*SATURATION, colours[:, 1]),
        contrast=_between(*CONTRAST, colours[:, 2]),
    )


def augmented(images_BCHW: Tensor, augmentation: Augmentation, dtype: torch.dtype) -> Tensor:
    """Crop, flip and colour images, in the order of the original.

    Args:
        images_BCHW: Bytes of shape (B, C, H, W).
        augmentation: What to do to each image.
        dtype: The floating-point type to compute in.

    Returns:
        Images of the same shape, about 0 to 255, that are the caller's own.
    """
    offsets, is_flipped, *colours = (
        draw.to(images_BCHW.device, non_blocking=True) for draw in augmentation
    )
    brightness, saturation, contrast = (colour.to(dtype) for colour in colours)
    images_BCHW = cropped(images_BCHW, offsets, is_flipped).to(dtype)
    brighten_(images_BCHW, brightness)
    saturate_(images_BCHW, saturation)
    return contrast_(images_BCHW, contrast)


def cropped(images_BCHW: Tensor, offsets: Tensor, is_flipped: Tensor) -> Tensor:
    """Move images by up to two pixels, and exchange left and right in some of them.

    Args:
        images_BCHW: Images of any type.
        offsets: Row and column where the crop begins in the image padded with black, (B, 2).
        is_flipped: Which crops are flipped, (B,).
    """
    shape = images_BCHW.shape
    width = shape[3]
    padded_BCHW = F.pad(images_BCHW, (PADDING,) * 4)
    pixels = torch.stack([padded_BCHW, padded_BCHW.flip(3)]).flatten()
    # Every row of a crop is a row of this view, which costs no memory; a whole row is copied at
    # once, where to gather pixels would take four times as long.
    windows = pixels.as_strided((len(pixels) - width + 1, width), (1, 1))
    starts_BCH = _row_starts(padded_BCHW.shape, shape[2], offsets, is_flipped)
    return windows.index_select(0, starts_BCH.flatten()).view(shape)


def _row_starts(
    padded_shape: torch.Size, height: int, offsets: Tensor, is_flipped: Tensor
) -> Tensor:
    """Where the rows of each crop begin in all pixels: padded images, then the same flipped."""
    batch, channels, padded_height, padded_width = padded_shape
    columns_B = torch.where(is_flipped, _NUM_OFFSETS - 1 - offsets[:, 1], offsets[:, 1])
    first_B = columns_B + offsets[:, 0] * padded_width + is_flipped * padded_shape.numel()
    images_and_channels = torch.arange(batch * channels, device=offsets.device)
    channels_BC1 = images_and_channels.view(batch, channels, 1) * (padded_height * padded_width)
    rows_H = torch.arange(height, device=offsets.device) * padded_width
    return channels_BC1 + first_B[:, None, None] + rows_H


def brighten_(images_BCHW: Tensor, delta: Tensor) -> Tensor:
    """Add a number to all pixels, in place.

    Args:
        images_BCHW: Images of floating-point numbers.
        delta: A number for each image, (B, 1, 1, 1).
    """
    return images_BCHW.add_(delta)


def saturate_(images_BCHW: Tensor, factor: Tensor) -> Tensor:
    """Multiply the saturation in HSV, cut off at 1, in place; hue and value stay.

    Value V is the largest of a pixel's channels, saturation (V - smallest) / V, and 0 for V <= 0.
    With hue and value fixed, the distance of every channel from V is proportional to the
    saturation, so that there is no need to compute the hue.

    Args:
        images_BCHW: Images of floating-point numbers with three channels, of any scale.
        factor: A number for each image, (B, 1, 1, 1).
    """
    value_B1HW = images_BCHW.amax(dim=1, keepdim=True)
    distance_B1HW = value_B1HW - images_BCHW.amin(dim=1, keepdim=True)
    # How far the saturation can grow until it is 1. In a grey pixel this says nothing, and does not
    # matter: it multiplies a distance of 0.
    smallest = torch.finfo(images_BCHW.dtype).tiny
    most_B1HW = value_B1HW.clamp(min=0) / distance_B1HW.clamp_(min=smallest)
    return _scale_distances_(images_BCHW, value_B1HW, most_B1HW.minimum(factor))


def contrast_(images_BCHW: Tensor, factor: Tensor) -> Tensor:
    """Multiply the distance from the mean of every channel of every image, in place.

    Args:
        images_BCHW: Images of floating-point numbers.
        factor: A number for each image, (B, 1, 1, 1).
    """
    mean_BC11 = images_BCHW.mean(dim=(2, 3), keepdim=True)
    return _scale_distances_(images_BCHW, mean_BC11, factor)


def _scale_distances_(images_BCHW: Tensor, origin: Tensor, factor: Tensor) -> Tensor:
    return images_BCHW.mul_(factor).add_((1 - factor) * origin)


def standardized(images_BCHW: Tensor) -> Tensor:
    """Give every image mean 0 and standard deviation 1 over all its N values.

    The deviation is that of the population, and counts as 1 / sqrt(N) where it is smaller: a
    constant image becomes zeros.

    Args:
        images_BCHW: Images of floating-point numbers.
    """
    dimensions = (1, 2, 3)
    centred_BCHW = images_BCHW - images_BCHW.mean(dim=dimensions, keepdim=True)
    # sqrt(N) times the deviation; on a CPU the norm is eight times faster than std.
    norm_B111 = torch.linalg.vector_norm(centred_BCHW, dim=dimensions, keepdim=True)
    num_values = math.prod(images_BCHW.shape[1:])
    return centred_BCHW.mul_(math.sqrt(num_values) / norm_B111.clamp(min=1))


def _between(low: float, high: float, uniform: Tensor) -> Tensor:
    return low + (high - low) * uniform
