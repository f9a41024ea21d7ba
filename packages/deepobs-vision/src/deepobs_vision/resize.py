"""TensorFlow's old bilinear resize, restricted to the pixels that a crop keeps.

Pixel i comes from position i * (old side / new side): neither centers nor corners are aligned, and
nothing is smoothed when an image shrinks. As in TensorFlow, it is computed in float32 and columns
before rows. Axes in the names of arrays: C channels, H height, W width of the image; h and w those
of the crop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHANNELS = 3
_TO_UNIT = np.float32(1 / 255)

# So few that all intermediate results stay in the cache: twice as fast as the whole crop at once.
_ROWS_AT_ONCE = 32


class Window(NamedTuple):
    """The part of a resized image that is kept.

    Attributes:
        top: The first row.
        left: The first column.
        side: Number of rows and of columns.
        is_flipped: Whether left and right are exchanged afterwards.
    """

    top: int
    left: int
    side: int
    is_flipped: bool = False


class _Neighbors(NamedTuple):
    """Origin of the pixels along one side of a crop.

    Attributes:
        before: Index of the old pixel at or before each position.
        after: Index of the next old pixel; the last one is its own neighbor.
        weight: Fraction of the way from the first to the second, in [0, 1).
    """

    before: NDArray[np.intp]
    after: NDArray[np.intp]
    weight: NDArray[np.float32]

    def part(self, chosen: slice) -> _Neighbors:
        """Select some of the pixels."""
        return _Neighbors(self.before[chosen], self.after[chosen], self.weight[chosen])


def scaled_sides(sides: tuple[int, int], smaller: int) -> tuple[int, int]:
    """Scale height and width so that the smaller becomes `smaller`, rounded half to even."""
    # In float32, as in TensorFlow: with doubles, some images would be a pixel larger or smaller.
    factor = np.float32(smaller) / np.float32(min(sides))
    height, width = (int(np.rint(factor * np.float32(side))) for side in sides)
    return height, width


def resized(
    pixels_HWC: NDArray[np.uint8], sides: tuple[int, int], window: Window
) -> NDArray[np.float32]:
    """Compute a window of the resized image.

    Args:
        pixels_HWC: Red, green and blue bytes.
        sides: Height and width of the whole resized image.
        window: The part to compute.

    Returns:
        Numbers in [0, 1], shape (channels, rows, columns).
    """
    height, width, _ = pixels_HWC.shape
    rows = _neighbors(height, sides[0], window.top, window.side)
    columns = _neighbors(width, sides[1], window.left, window.side)
    if window.is_flipped:
        columns = columns.part(slice(None, None, -1))
    crop_Chw = np.empty((_CHANNELS, window.side, window.side), np.float32)
    crop_hCw = crop_Chw.transpose(1, 0, 2)
    for start in range(0, window.side, _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        _resize_rows(pixels_HWC, rows.part(some), columns, crop_hCw[some])
    return crop_Chw


def _resize_rows(
    pixels_HWC: NDArray[np.uint8],
    rows: _Neighbors,
    columns: _Neighbors,
    crop_hCw: NDArray[np.float32],
) -> None:
    first = rows.before[0]
    blended_HCw = _blend_columns(pixels_HWC[first : rows.after[-1] + 1], columns)
    above_hCw, below_hCw = blended_HCw[rows.before - first], blended_HCw[rows.after - first]
    below_hCw -= above_hCw
    below_hCw *= rows.weight[:, None, None]
    np.add(above_hCw, below_hCw, out=crop_hCw)


def _blend_columns(pixels_HWC: NDArray[np.uint8], columns: _Neighbors) -> NDArray[np.float32]:
    """Mix the two columns that each column of the crop comes from, shape (H, C, w), in [0, 1]."""
    # One gather from flat rows, which also moves the channels to the front.
    flat_HP = pixels_HWC.reshape(len(pixels_HWC), -1)
    channels_C1 = np.arange(_CHANNELS)[:, None]
    left_HP, right_HP = (
        flat_HP.take((index * _CHANNELS + channels_C1).ravel(), axis=1)
        for index in (columns.before, columns.after)
    )
    mixed_HP, change_HP = np.multiply(left_HP, _TO_UNIT), np.multiply(right_HP, _TO_UNIT)
    change_HP -= mixed_HP
    change_HP *= np.tile(columns.weight, _CHANNELS)
    mixed_HP += change_HP
    return mixed_HP.reshape(len(pixels_HWC), _CHANNELS, -1)


def _neighbors(old_side: int, new_side: int, start: int, length: int) -> _Neighbors:
    scale = np.float32(old_side) / np.float32(new_side)
    position = np.arange(start, start + length, dtype=np.float32) * scale
    before = np.minimum(position.astype(np.intp), old_side - 1)
    after = np.minimum(before + 1, old_side - 1)
    return _Neighbors(before, after, position - before.astype(np.float32))
