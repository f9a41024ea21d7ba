"""The part of a picture that a model sees: its place in the resized picture, and how to get it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from deepobs_vision.resize import Window, resized, scaled_sides

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLER_SIDE = 256
"""What the smaller side of every picture is resized to."""

CROP_SIDE = 224
"""Height and width of what a model sees."""

NUM_OFFSETS = SMALLER_SIDE - CROP_SIDE + 1
"""Rows, and columns, at which a crop of the central square of a resized picture can begin."""


class Picture(Protocol):
    """A picture that has yet to be decoded; it is sent to a worker process."""

    def decode(self) -> NDArray[np.uint8]:
        """The pixels, shape (height, width, 3)."""
        ...


class Crop(NamedTuple):
    """What to keep of a picture.

    Attributes:
        row: Where it begins in the central square of the resized picture.
        column: The same.
        is_flipped: Whether left and right are exchanged; 0 or 1.
    """

    row: int
    column: int
    is_flipped: int


_CENTRAL = Crop((NUM_OFFSETS - 1) // 2, (NUM_OFFSETS - 1) // 2, is_flipped=0)


def central_crops(num_pictures: int) -> Tensor:
    """The crop in the middle of each picture, shape (pictures, 3)."""
    return torch.tensor(_CENTRAL, device="cpu").expand(num_pictures, -1)


def draw_crops(num_pictures: int, generator: torch.Generator) -> Tensor:
    """Draw a crop for each picture: all places are equally likely, and half of them are flipped.

    Args:
        num_pictures: How many to draw.
        generator: A generator on the CPU.

    Returns:
        A `Crop` in each row, uint8 of shape (pictures, 3): an epoch of ImageNet takes 4 MB.
    """

    def draw(limit: int) -> Tensor:
        size = (num_pictures,)
        return torch.randint(limit, size, generator=generator, dtype=torch.uint8, device="cpu")

    return torch.stack([draw(NUM_OFFSETS), draw(NUM_OFFSETS), draw(2)], dim=1)


def cropped(picture: Picture, crop: Crop) -> Tensor:
    """Decode a picture, resize it with the same aspect ratio, crop it and standardise the crop.

    Args:
        picture: What to decode.
        crop: What of it to keep.

    Returns:
        Numbers with mean 0 and standard deviation 1, float32 of shape (3, 224, 224).

    Raises:
        CorruptDataError: It cannot be decoded.
    """
    pixels = picture.decode()
    sides = scaled_sides(pixels.shape[:2], SMALLER_SIDE)
    top, left = ((side - SMALLER_SIDE) // 2 for side in sides)
    window = Window(top + crop.row, left + crop.column, CROP_SIDE, bool(crop.is_flipped))
    return torch.from_numpy(_standardize(resized(pixels, sides, window)))


def _standardize(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """As `augmentation.standardized`, in place and while the crop is still in the cache.

    In NumPy, whose sums do not depend on how many threads there are: so a worker process, which
    has one, gets the same result as the main process.
    """
    crop -= crop.mean()
    norm = math.sqrt(np.square(crop).sum())
    crop *= np.float32(math.sqrt(crop.size) / max(norm, 1.0))
    return crop
