"""TensorFlow's layers, for where torch's of the same name pad, crop, flatten or start differently.

Each is torch's own class wherever torch's own padding can express it. Axes in the names of tensors:
B batch, C channels, H height, W width, D features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepobs.errors import ArgumentError

if TYPE_CHECKING:
    from deepobs.problems.initializers import Initializer

Pair = tuple[int, int]


def dense(
    in_features: int, out_features: int, *, kernel_initializer: Initializer, bias: float = 0.0
) -> nn.Linear:
    """A fully connected layer.

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs.
        kernel_initializer: Fills the kernel.
        bias: What all biases start at.
    """
    layer = nn.Linear(in_features, out_features)
    _initialize(layer, kernel_initializer, bias)
    return layer


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
    """A convolution of images (B,C,H,W).

    Args:
        in_channels: Channels of the images.
        out_channels: Number of filters.
        kernel_size: Height and width of the filters, one number for squares.
        stride: Step of the filters in both directions.
        padding: "same" keeps ceil(size / stride) pixels, "valid" pads nothing.
        kernel_initializer: Fills the kernel.
        bias: What all biases start at, `None` for a layer without biases.
    """
    height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    kind, pixels = nn.Conv2d, (0, 0)
    is_symmetric = height % 2 and width % 2 and (stride == 1 or height == width == 1)
    if padding == "same" and is_symmetric:
        pixels = (height // 2, width // 2)
    elif padding == "same":
        kind = SameConv2d
    has_bias = bias is not None
    layer = kind(in_channels, out_channels, (height, width), stride, pixels, bias=has_bias)
    _initialize(layer, kernel_initializer, bias)
    return layer


class SamePadding(nn.Module):
    """Zeros around images, of which a convolution makes ceil(size / stride) pixels.

    With it, `padding="valid"` and torch's own convolution do what `padding="same"` does. Tools
    that know layers by their class, such as BackPACK, then know them all.

    Args:
        kernel_size: Height and width of the filters.
        stride: Step of the filters in both directions.
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self._sizes = ((kernel_size, kernel_size), (stride, stride))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Pad, the odd pixel at the far end."""
        return F.pad(images_BCHW, _margins(images_BCHW, *self._sizes))


class SameConv2d(nn.Conv2d):
    """A convolution padded to ceil(size / stride) pixels, with the odd pixel at the far end."""

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
    """A transposed convolution of images (B,C,H,W) to `stride` times their size.

    Args:
        in_channels: Channels of the images.
        out_channels: Number of filters.
        kernel_size: Height and width of the filters, at least `stride`.
        stride: How much the images grow.
        kernel_initializer: Fills the kernel.
        bias: What all biases start at.
    """
    surplus = kernel_size - stride
    if surplus < 0:
        raise ArgumentError(f"kernel_size must be {stride} (stride) or more, got {kernel_size}.")
    kind = SameConvTranspose2d if surplus % 2 else nn.ConvTranspose2d
    layer = kind(in_channels, out_channels, kernel_size, stride, padding=surplus // 2)
    _initialize(layer, kernel_initializer, bias)
    return layer


class SameConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution that crops one pixel more at the far end than at the near one."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002 # torch's name
        """Transform images (B,C,H,W)."""
        return super().forward(input, output_size)[..., :-1, :-1]


class SameMaxPool2d(nn.MaxPool2d):
    """Maxima of windows, padded with minus infinity to ceil(size / stride) pixels.

    Args:
        kernel_size: Height and width of the windows; odd where the stride is 1.
        stride: Step of the windows in both directions.
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        if stride == 1 and kernel_size % 2 == 0:
            raise ArgumentError(f"kernel_size must be odd where stride is 1, got {kernel_size}.")
        super().__init__(kernel_size, stride, ceil_mode=True)
        self._sizes = (kernel_size, stride)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 # torch's name
        """Pool images (B,C,H,W)."""
        top, _ = same_padding(input.shape[-2], *self._sizes)
        left, _ = same_padding(input.shape[-1], *self._sizes)
        # Rounding the size up lets the last window reach one pixel beyond the padding: the odd one.
        return F.max_pool2d(input, *self._sizes, padding=(top, left), ceil_mode=True)


class Flatten(nn.Module):
    """Turns images (B,C,H,W) into vectors (B,H*W*C), in the order in which TensorFlow holds them.

    A dense kernel that follows is then the transpose of TensorFlow's.
    """

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Flatten; a view where there is only one channel."""
        return images_BCHW.permute(0, 2, 3, 1).flatten(1)


class ResizeBilinear(nn.Module):
    """Resizes images (B,C,H,W) as `tf.image.resize_bilinear` did by default.

    Output pixel i lies at i * in / out of the input: centres are not aligned, and neither are
    corners, and the last pixels repeat the edge. `torch.nn.functional.interpolate` cannot do this.

    Args:
        size: Height and width to get.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Resize; what has the right size already is returned as it is."""
        return self._resized(self._resized(images_BCHW, dim=3), dim=2)

    def _resized(self, images_BCHW: Tensor, dim: int) -> Tensor:
        pixels = images_BCHW.shape[dim]
        if pixels == self.size:
            return images_BCHW
        # Positions in single precision, as the original has them, whatever the images are in.
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
    """The pixels that TensorFlow's padding "same" adds before and after `size` pixels."""
    total = max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2


def _margins(
    images_BCHW: Tensor, kernel_size: tuple[int, ...], stride: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Pixels to add at the left, at the right, above and below, as `same_padding` has them."""
    top, bottom = same_padding(images_BCHW.shape[-2], kernel_size[0], stride[0])
    left, right = same_padding(images_BCHW.shape[-1], kernel_size[1], stride[1])
    return left, right, top, bottom


def _initialize(
    layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d,
    kernel_initializer: Initializer,
    bias: float | None,
) -> None:
    kernel_initializer(layer.weight)
    if layer.bias is not None and bias is not None:
        nn.init.constant_(layer.bias, bias)
