"""TensorFlow's layers once more, in plain NumPy and as slow as it takes to be obviously right.

Images are (B,H,W,C), kernels [h,w,in,out], transposed ones [h,w,out,in]. Nothing here imports torch
or a package of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating]


def same_padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """The pixels before and after: the odd one goes after."""
    outputs = int(np.ceil(size / stride))
    total = max((outputs - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2


def no_padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Padding "valid": windows begin inside the image and end inside it."""
    return 0, 0


PADDINGS = {"same": same_padding, "valid": no_padding}


def windows(
    images: Array, kernel_size: tuple[int, int], stride: int, *, padding: str, fill: float
) -> Array:
    """All windows (B,H,W,C,h,w) of images that are padded with the value `fill`."""
    rows = PADDINGS[padding](images.shape[1], kernel_size[0], stride)
    columns = PADDINGS[padding](images.shape[2], kernel_size[1], stride)
    padded = np.pad(images, ((0, 0), rows, columns, (0, 0)), constant_values=fill)
    return sliding_window_view(padded, kernel_size, axis=(1, 2))[:, ::stride, ::stride]


def conv2d(images: Array, kernel: Array, stride: int, padding: str = "same") -> Array:
    """A convolution."""
    patches = windows(images, kernel.shape[:2], stride, padding=padding, fill=0.0)
    return np.tensordot(patches, kernel, axes=((4, 5, 3), (0, 1, 2)))


def max_pool2d(images: Array, kernel_size: int, stride: int, padding: str = "same") -> Array:
    """Maxima; padding is never one."""
    size = (kernel_size, kernel_size)
    return windows(images, size, stride, padding=padding, fill=-np.inf).max(axis=(4, 5))


def average_pool2d(images: Array, kernel_size: int, stride: int, padding: str = "same") -> Array:
    """Means; padding does not count."""
    size = (kernel_size, kernel_size)
    return np.nanmean(windows(images, size, stride, padding=padding, fill=np.nan), axis=(4, 5))


def resize_bilinear(images: Array, height: int, width: int) -> Array:
    """The old way: the first pixels lie upon each other, the last repeat the edge."""
    rows = _interpolation(images.shape[1], height)
    columns = _interpolation(images.shape[2], width)
    return np.einsum("yh,bhwc,xw->byxc", rows, images, columns, optimize=True)


def _interpolation(size: int, new_size: int) -> Array:
    """What each new pixel of a line takes from each old one, (new,old)."""
    # Single precision, as in the original: training Inception would show the difference.
    source = np.arange(new_size, dtype=np.float32) * np.float32(size / new_size)
    first = np.floor(source).astype(int)
    second = np.minimum(first + 1, size - 1)
    shares = np.zeros((new_size, size))
    np.add.at(shares, (np.arange(new_size), first), 1 - (source - first))
    np.add.at(shares, (np.arange(new_size), second), source - first)
    return shares


def conv2d_transpose(images: Array, kernel: Array, stride: int) -> Array:
    """A transposed convolution with padding "same": every pixel paints its kernel, then a crop."""
    batch, height, width, _ = images.shape
    size, _, channels, _ = kernel.shape
    painted = np.einsum("bhwi,yxoi->bhwyxo", images, kernel, optimize=True)
    full = np.zeros((batch, (height - 1) * stride + size, (width - 1) * stride + size, channels))
    for row in range(height):
        for column in range(width):
            top, left = row * stride, column * stride
            full[:, top : top + size, left : left + size] += painted[:, row, column]
    top, _ = same_padding(height * stride, size, stride)
    left, _ = same_padding(width * stride, size, stride)
    return full[:, top : top + height * stride, left : left + width * stride]


def to_torch_layout(images: Array) -> Array:
    """(B,H,W,C) to (B,C,H,W)."""
    return images.transpose(0, 3, 1, 2)
