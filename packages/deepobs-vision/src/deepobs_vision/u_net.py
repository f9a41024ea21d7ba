"""The U-Net of denoising diffusion, which transforms noisy images of a known level of noise.

Axes in the names of tensors: B batch, C channels, H height, W width, T pixels, D features.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepobs.problems.attention import suitable_kernels
from deepobs_vision.layers import SamePadding, conv2d

if TYPE_CHECKING:
    from deepobs_vision.dense import Shape

_EPSILON = 1e-6
_LONGEST_PERIOD = 10000
# The standard deviation, relative to the usual one, of what starts as almost 0.
_TINY_GAIN = 1e-5


class UNetSize(NamedTuple):
    """The size of a U-Net.

    Attributes:
        channels: Channels of the first convolution.
        multipliers: Channels at each resolution, as multiples of these.
        blocks: Residual blocks at each resolution on the way down; there is one more on the way up.
        attention_sides: Sides of the images at whose resolutions there is attention.
        groups: Groups of channels that are normalized together.
    """

    channels: int
    multipliers: tuple[int, ...]
    blocks: int
    attention_sides: tuple[int, ...]
    groups: int


class UNet(nn.Module):
    """Residual blocks at lower and lower resolutions and back, with shortcuts between equal ones.

    There is no dropout: a step is deterministic. Kernels start from Glorot's uniform distribution,
    those of the last layer of each residual and of the outputs from almost 0; biases from 0.

    Args:
        image_shape: Channels, height and width of an image; all but the last resolution are halved.
        size: The size of the network.

    References:
        Ho, Jain, Abbeel: Denoising Diffusion Probabilistic Models, NeurIPS 2020, arXiv:2006.11239;
        https://github.com/hojonathanho/diffusion.
    """

    def __init__(self, image_shape: Shape, size: UNetSize) -> None:
        super().__init__()
        features = 4 * size.channels
        self.channels = size.channels
        self.embedding = nn.Sequential(
            _dense(size.channels, features), nn.SiLU(), _dense(features, features), nn.SiLU()
        )
        self.first = _convolution(image_shape[0], size.channels)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        side, width, shortcuts = image_shape[1], size.channels, [size.channels]
        for level, multiplier in enumerate(size.multipliers):
            if level:
                self.down.append(Halving(width))
                shortcuts.append(width)
                side //= 2
            for _ in range(size.blocks):
                self.down.append(Unit(width, multiplier * size.channels, side, size))
                width = multiplier * size.channels
                shortcuts.append(width)
        self.middle = nn.ModuleList(
            [Unit(width, width, side, size, attends=attends) for attends in (True, False)]
        )
        for level, multiplier in reversed([*enumerate(size.multipliers)]):
            for _ in range(size.blocks + 1):
                in_channels = width + shortcuts.pop()
                width = multiplier * size.channels
                self.up.append(Unit(in_channels, width, side, size))
            if level:
                self.up.append(Doubling(width))
                side *= 2
        self.norm = nn.GroupNorm(size.groups, width, eps=_EPSILON)
        self.last = _convolution(width, image_shape[0], gain=_TINY_GAIN)

    def forward(self, images_BCHW: Tensor, levels_B: Tensor) -> Tensor:
        """Transform images.

        Args:
            images_BCHW: Noisy images, whose sides can be halved as often as there are resolutions.
            levels_B: The level of the noise in each image, from 0.

        Returns:
            As many channels of the same size.
        """
        waves_BD = waves(levels_B, self.channels).to(images_BCHW.dtype)
        embedded_BD = self.embedding(waves_BD)
        x_BCHW = self.first(images_BCHW)
        shortcuts = [x_BCHW]
        for layer in self.down:
            x_BCHW = layer(x_BCHW, embedded_BD)
            shortcuts.append(x_BCHW)
        for layer in self.middle:
            x_BCHW = layer(x_BCHW, embedded_BD)
        for layer in self.up:
            if isinstance(layer, Unit):
                x_BCHW = torch.cat([x_BCHW, shortcuts.pop()], dim=1)
            x_BCHW = layer(x_BCHW, embedded_BD)
        predicted_BCHW: Tensor = self.last(F.silu(self.norm(x_BCHW)))
        return predicted_BCHW


class Unit(nn.Module):
    """A residual block, followed by attention at some resolutions.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        side: Height of the images.
        size: The size of the network.
        attends: Whether there is attention; `None` to look up the side.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        side: int,
        size: UNetSize,
        *,
        attends: bool | None = None,
    ) -> None:
        super().__init__()
        self.first_norm = nn.GroupNorm(size.groups, in_channels, eps=_EPSILON)
        self.first = _convolution(in_channels, out_channels)
        self.level = _dense(4 * size.channels, out_channels)
        self.second_norm = nn.GroupNorm(size.groups, out_channels, eps=_EPSILON)
        self.second = _convolution(out_channels, out_channels, gain=_TINY_GAIN)
        is_same = in_channels == out_channels
        self.shortcut = (
            nn.Identity() if is_same else _convolution(in_channels, out_channels, kernel_size=1)
        )
        attends = side in size.attention_sides if attends is None else attends
        self.attention = Attention(out_channels, size.groups) if attends else nn.Identity()

    def forward(self, images_BCHW: Tensor, embedded_BD: Tensor) -> Tensor:
        """Transform images."""
        residual_BCHW = self.first(F.silu(self.first_norm(images_BCHW)))
        residual_BCHW = residual_BCHW + self.level(embedded_BD)[:, :, None, None]
        residual_BCHW = self.second(F.silu(self.second_norm(residual_BCHW)))
        transformed: Tensor = self.attention(self.shortcut(images_BCHW) + residual_BCHW)
        return transformed


class Attention(nn.Module):
    """Attention of all pixels to each other, with one head, added to the input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=_EPSILON)
        self.query_key_value = _dense(channels, 3 * channels)
        for kernel in self.query_key_value.weight.chunk(3):
            nn.init.xavier_uniform_(kernel)
        self.to_residual = _dense(channels, channels, gain=_TINY_GAIN)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Transform images."""
        pixels_B1TC = self.norm(images_BCHW).flatten(2).transpose(1, 2).unsqueeze(1)
        parts = self.query_key_value(pixels_B1TC).chunk(3, dim=3)
        with suitable_kernels(pixels_B1TC):
            mixed_B1TC = F.scaled_dot_product_attention(*parts)
        residual_BTC: Tensor = self.to_residual(mixed_B1TC).squeeze(1)
        return images_BCHW + residual_BTC.transpose(1, 2).reshape(images_BCHW.shape)


class Halving(nn.Module):
    """A convolution with stride 2, padded as the source's TensorFlow does: at the bottom right."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.padding = SamePadding(3, 2)
        self.convolution = conv2d(
            *(channels, channels, 3),
            stride=2,
            padding="valid",
            kernel_initializer=nn.init.xavier_uniform_,
        )

    def forward(self, images_BCHW: Tensor, embedded_BD: Tensor) -> Tensor:
        """Halve the sides of images."""
        del embedded_BD
        halved_BCHW: Tensor = self.convolution(self.padding(images_BCHW))
        return halved_BCHW


class Doubling(nn.Module):
    """Repeats each pixel in both directions, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = _convolution(channels, channels)

    def forward(self, images_BCHW: Tensor, embedded_BD: Tensor) -> Tensor:
        """Double the sides of images."""
        del embedded_BD
        # Not `F.interpolate`, whose gradient on a GPU is summed in any order.
        repeated = images_BCHW[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2)
        repeated_BCHW = repeated.flatten(4, 5).flatten(2, 3)
        doubled_BCHW: Tensor = self.convolution(repeated_BCHW)
        return doubled_BCHW


def waves(levels_B: Tensor, features: int) -> Tensor:
    """Sines, then cosines, of levels in geometric frequencies from 1 to 1/10000.

    Args:
        levels_B: Integers.
        features: An even number, 4 or more.

    Returns:
        Shape (B, features), float32.
    """
    half = features // 2
    exponents = torch.arange(half, device=levels_B.device, dtype=torch.float32) / (half - 1)
    angles = levels_B[:, None] * torch.exp(-math.log(_LONGEST_PERIOD) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _dense(in_features: int, out_features: int, gain: float = 1.0) -> nn.Linear:
    layer = nn.Linear(in_features, out_features)
    nn.init.xavier_uniform_(layer.weight, gain=gain)
    nn.init.zeros_(layer.bias)
    return layer


def _convolution(
    in_channels: int, out_channels: int, *, kernel_size: int = 3, gain: float = 1.0
) -> nn.Conv2d:
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    nn.init.xavier_uniform_(layer.weight, gain=gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
