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
    draws = torch.rand(num_images, _DRAWS_PER_IMAGE, generator=generator, device="cpu")
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
        Images of the same shape, about 0 to 255; a new tensor.
    """
    offsets, is_flipped, *colours = (
        draw.to(images_BCHW.device, non_blocking=True) for draw in augmentation
    )
    brightness, saturation, contrast = (colour.to(dtype) for colour in colours)
    images_BCHW = cropped(images_BCHW, offsets, is_flipped).to(dtype)
    images_BCHW = brightened(images_BCHW, brightness)
    images_BCHW = saturated(images_BCHW, saturation)
    return contrasted(images_BCHW, contrast)


def cropped(images_BCHW: Tensor, offsets: Tensor, is_flipped: Tensor) -> Tensor:
    """Move images by up to two pixels, and exchange left and right in some of them.

    Args:
        images_BCHW: Images of any type.
        offsets: Row and column where the crop begins in the image padded with black, (B, 2).
        is_flipped: Which crops are flipped, (B,).
    """
    *_, height, width = images_BCHW.shape
    padded_BCHW = F.pad(images_BCHW, (PADDING,) * 4)
    rows_BH = torch.arange(height, device=offsets.device) + offsets[:, :1]
    columns_W = torch.arange(width, device=offsets.device)
    columns_BW = torch.where(is_flipped[:, None], columns_W.flip(0), columns_W) + offsets[:, 1:]
    # One gather from flat images: several times faster than indexing with rows and columns.
    pixels_BHW = rows_BH[:, :, None] * padded_BCHW.shape[3] + columns_BW[:, None, :]
    pixels_BCP = pixels_BHW.flatten(1)[:, None].expand(-1, images_BCHW.shape[1], -1)
    return padded_BCHW.flatten(2).gather(2, pixels_BCP).view(images_BCHW.shape)


def brightened(images_BCHW: Tensor, delta: Tensor) -> Tensor:
    """Add a number to all pixels.

    Args:
        images_BCHW: Images.
        delta: A number for each image, (B, 1, 1, 1).
    """
    return images_BCHW + delta


def saturated(images_BCHW: Tensor, factor: Tensor) -> Tensor:
    """Multiply the saturation in HSV, cut off at 1; hue and value stay.

    Value V is the largest of a pixel's channels, saturation (V - smallest) / V, and 0 for V <= 0.
    With hue and value fixed, the distance of every channel from V is proportional to the
    saturation, so that there is no need to compute the hue.

    Args:
        images_BCHW: Images with three channels, of any scale.
        factor: A number for each image, (B, 1, 1, 1).
    """
    value_B1HW = images_BCHW.amax(dim=1, keepdim=True)
    distance_B1HW = value_B1HW - images_BCHW.amin(dim=1, keepdim=True)
    # How far the saturation can grow until it is 1. In a grey pixel this says nothing, and does not
    # matter: it multiplies distances of 0.
    smallest = torch.finfo(images_BCHW.dtype).tiny
    most_B1HW = value_B1HW.clamp(min=0) / distance_B1HW.clamp_(min=smallest)
    return (images_BCHW - value_B1HW).mul_(most_B1HW.minimum(factor)).add_(value_B1HW)


def contrasted(images_BCHW: Tensor, factor: Tensor) -> Tensor:
    """Multiply the distance from the mean of every channel of every image.

    Args:
        images_BCHW: Images.
        factor: A number for each image, (B, 1, 1, 1).
    """
    mean_BC11 = images_BCHW.mean(dim=(2, 3), keepdim=True)
    return (images_BCHW - mean_BC11).mul_(factor).add_(mean_BC11)


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
