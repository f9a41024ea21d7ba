"""TensorFlow's layers of images, where torch's of the same name pad, crop or start differently.

Axes in the names of tensors: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepobs.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepobs.problems.initializers import Initializer

Pair = tuple[int, int]


def conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int | Pair,
    *,
    stride: int = 1,
    padding: Literal["same", "valid"] = "same",
    kernel_initializer: Initializer,
    bias: float | None = 0.0,
) -> nn.Conv2d:
    """Create a convolution of images (B,C,H,W).

    Args:
        in_channels: Channels of the images.
        out_channels: Number of filters.
        kernel_size: Height and width of the filters, one number if equal.
        stride: Stride in both directions.
        padding: "same" keeps ceil(size / stride) pixels, "valid" does not pad.
        kernel_initializer: Applied to the kernel.
        bias: Initial value of all biases, `None` for a layer without biases.
    """
    # torch's own class wherever its symmetric padding suffices: tools that extend layers by class,
    # such as BackPACK, know no others.
    height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    kind, pixels = nn.Conv2d, (0, 0)
    is_symmetric = height % 2 and width % 2 and (stride == 1 or height == width == 1)
    if padding == "same" and is_symmetric:
        pixels = (height // 2, width // 2)
    elif padding == "same":
        kind = SameConv2d
    has_bias = bias is not None
    layer = kind(in_channels, out_channels, (height, width), stride, pixels, bias=has_bias)
    kernel_initializer(layer.weight)
    if layer.bias is not None and bias is not None:
        nn.init.constant_(layer.bias, bias)
    return layer


class SamePadding(nn.Module):
    """Zero padding for a convolution with `padding="valid"`, as `padding="same"` would add it.

    So the convolution itself is of torch's own class.
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self._sizes = ((kernel_size, kernel_size), (stride, stride))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Pad images, with the odd pixel at the bottom right."""
        return F.pad(images_BCHW, _margins(images_BCHW, *self._sizes))


class SameConv2d(nn.Conv2d):
    """A convolution padded to ceil(size / stride) pixels, the odd pixel at the bottom right."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 # torch's name
        """Convolve images (B,C,H,W), padded with zeros."""
        margins = left, right, top, bottom = _margins(input, self.kernel_size, self.stride)
        if (top, left) == (bottom, right):
            return F.conv2d(input, self.weight, self.bias, self.stride, (top, left))
        padded = F.pad(input, margins)
        return F.conv2d(padded, self.weight, self.bias, self.stride)


def conv2d_transpose(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    kernel_initializer: Initializer,
    bias: float = 0.0,
) -> nn.ConvTranspose2d:
    """Create a transposed convolution of images (B,C,H,W) to `stride` times their size.

    Other arguments are those of `conv2d`; `kernel_size` must be at least `stride`.
    """
    surplus = kernel_size - stride
    if surplus < 0:
        raise ArgumentError(f"kernel_size must be {stride} (stride) or more, got {kernel_size}.")
    kind = SameConvTranspose2d if surplus % 2 else nn.ConvTranspose2d
    layer = kind(in_channels, out_channels, kernel_size, stride, padding=surplus // 2)
    kernel_initializer(layer.weight)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, bias)
    return layer


class SameConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution that crops an odd pixel at the bottom right."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002 # torch's name
        """Transform images (B,C,H,W)."""
        return super().forward(input, output_size)[..., :-1, :-1]


def max_pool2d(kernel_size: int, stride: int, *, size: Sequence[int]) -> nn.MaxPool2d:
    """Create maxima of windows, padded with minus infinity to ceil(size / stride) pixels.

    Args:
        kernel_size: Height and width of a window, odd if `stride` is 1.
        stride: Stride in both directions.
        size: Height and width of the images.
    """
    if stride == 1 and kernel_size % 2 == 0:
        raise ArgumentError(f"kernel_size must be odd if stride is 1, got {kernel_size}.")
    (top, _), (left, _) = (same_padding(pixels, kernel_size, stride) for pixels in size)
    # Rounding the size up lets the last window extend by one pixel beyond the padding: the odd one,
    # which torch's symmetric padding cannot express.
    return nn.MaxPool2d(kernel_size, stride, padding=(top, left), ceil_mode=True)


class ResizeBilinear(nn.Module):
    """Resizes images (B,C,H,W) as `tf.image.resize_bilinear` did by default.

    Output pixel i comes from position i * in / out of the input: neither centers nor corners are
    aligned, and the last pixels repeat the edge. `torch.nn.functional.interpolate` cannot do this.

    Args:
        size: Height and width of the result.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Resize images; those of the right size are returned unchanged."""
        return self._resized(self._resized(images_BCHW, dim=3), dim=2)

    def _resized(self, images_BCHW: Tensor, dim: int) -> Tensor:
        pixels = images_BCHW.shape[dim]
        if pixels == self.size:
            return images_BCHW
        # In single precision, whatever the type of the images: the original rounds positions so.
        positions = torch.arange(self.size, dtype=torch.float32, device=images_BCHW.device)
        positions *= pixels / self.size
        before = positions.floor()
        index = before.long()
        fractions = (positions - before).to(images_BCHW.dtype)
        return torch.lerp(
            images_BCHW.index_select(dim, index),
            images_BCHW.index_select(dim, (index + 1).clamp_(max=pixels - 1)),
            fractions if dim == 3 else fractions[:, None],
        )


def same_padding(size: int, kernel_size: int, stride: int) -> Pair:
    """Pixels that TensorFlow's padding "same" adds before and after `size` pixels."""
    total = max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2


def _margins(
    images_BCHW: Tensor, kernel_size: tuple[int, ...], stride: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Pixels to add at the left, right, top and bottom."""
    top, bottom = same_padding(images_BCHW.shape[-2], kernel_size[0], stride[0])
    left, right = same_padding(images_BCHW.shape[-1], kernel_size[1], stride[1])
    return left, right, top, bottom
