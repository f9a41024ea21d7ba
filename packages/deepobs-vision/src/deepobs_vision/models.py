"""Convolutional networks, as functions of the shape of an image and the number of classes.

All take `image_shape` (channels, height and width of an image) and `num_classes` (the number of
logits). Weights start as in the original. Axes in the names of tensors: B batch, C channels,
H height, W width.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from deepobs.problems.initializers import glorot_normal_, glorot_uniform_, truncated_normal_
from deepobs_vision.dense import Shape, dense
from deepobs_vision.layers import ResizeBilinear, SamePadding, conv2d, max_pool2d

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

_VGG_CHANNELS = (64, 128, 256, 512, 512)
_VGG_SIZE = 224
_VGG_POOLED = (512, 7, 7)


def conv_2c2d(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """Two convolutions (32 and 64 filters of 5x5), each pooled to half the size, two dense layers.

    Kernels have scale 0.05, and biases start at 0.05, including those of the logits.
    """
    channels, *size = image_shape
    kernel_initializer = partial(truncated_normal_, standard_deviation=0.05)
    convolution = partial(conv2d, kernel_initializer=kernel_initializer, bias=0.05)
    fully_connected = partial(dense, kernel_initializer=kernel_initializer, bias=0.05)
    layers: list[nn.Module] = []
    for out_channels in (32, 64):
        layers += [convolution(channels, out_channels, 5), nn.ReLU(), max_pool2d(2, 2, size=size)]
        channels, size = out_channels, _half(size)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        fully_connected(channels * math.prod(size), 1024, channels=channels),
        nn.ReLU(),
        fully_connected(1024, num_classes),
    )


def conv_3c3d(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """Three convolutions (64, 96 and 128 filters), each pooled 3/2, and three dense layers.

    Kernels of convolutions start from Glorot's truncated normal distribution, those of dense layers
    from his uniform one; biases from 0.
    """
    channels, *size = image_shape
    convolution = partial(conv2d, kernel_initializer=glorot_normal_)
    fully_connected = partial(dense, kernel_initializer=glorot_uniform_)
    layers: list[nn.Module] = []
    blocks: tuple[tuple[int, int, Literal["same", "valid"]], ...] = (
        (64, 5, "valid"),
        (96, 3, "valid"),
        (128, 3, "same"),
    )
    for out_channels, kernel, padding in blocks:
        layers += [convolution(channels, out_channels, kernel, padding=padding), nn.ReLU()]
        if padding == "valid":
            size = [pixels - kernel + 1 for pixels in size]
        layers.append(max_pool2d(3, 2, size=size))
        channels, size = out_channels, _half(size)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        fully_connected(channels * math.prod(size), 512, channels=channels),
        nn.ReLU(),
        fully_connected(512, 256),
        nn.ReLU(),
        fully_connected(256, num_classes),
    )


def all_cnn_c(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """Nine convolutions with dropout; the logits are means of the last one.

    Kernels start from Glorot's truncated normal distribution, biases from 0.1.

    References:
        Springenberg et al.: Striving for Simplicity, ICLR 2015 workshop, arXiv:1412.6806.
    """
    layer = partial(conv2d, kernel_initializer=glorot_normal_, bias=0.1)

    def convolution(*arguments: int, **options: Any) -> list[nn.Module]:
        return [layer(*arguments, **options), nn.ReLU()]

    def halving(channels: int) -> list[nn.Module]:
        """Two convolutions, the second with stride 2."""
        padded = nn.Sequential(nn.ReLU(), SamePadding(3, stride=2))
        first = layer(channels, channels, 3)
        return [first, padded, *convolution(channels, channels, 3, stride=2, padding="valid")]

    return nn.Sequential(
        nn.Dropout(0.2),
        *convolution(image_shape[0], 96, 3),
        *halving(96),
        nn.Dropout(0.5),
        *convolution(96, 192, 3),
        *halving(192),
        nn.Dropout(0.5),
        *convolution(192, 192, 3, padding="valid"),
        *convolution(192, 192, 1),
        # The ReLU is as in the original, although no logit can then be negative.
        *convolution(192, num_classes, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def vgg16(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """Thirteen convolutions and three dense layers, on images resized to 224x224."""
    return _vgg(image_shape, num_classes, convolutions=(2, 2, 3, 3, 3))


def vgg19(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """Sixteen convolutions and three dense layers, on images resized to 224x224."""
    return _vgg(image_shape, num_classes, convolutions=(2, 2, 4, 4, 4))


def _vgg(image_shape: Shape, num_classes: int, *, convolutions: Sequence[int]) -> nn.Sequential:
    """Blocks of `convolutions` each, pooled 2/2, and dense layers with dropout.

    Kernels of convolutions start from Glorot's truncated normal distribution, those of dense layers
    from his uniform one; biases from 0. There is no batch normalization.

    References:
        Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition,
        ICLR 2015, arXiv:1409.1556, configurations D and E.
    """
    layers: list[nn.Module] = [ResizeBilinear(_VGG_SIZE)]
    in_channels = image_shape[0]
    for out_channels, count in zip(_VGG_CHANNELS, convolutions, strict=True):
        for _ in range(count):
            layers.append(conv2d(in_channels, out_channels, 3, kernel_initializer=glorot_normal_))
            layers.append(nn.ReLU())
            in_channels = out_channels
        layers.append(nn.MaxPool2d(2, 2))
    fully_connected = partial(dense, kernel_initializer=glorot_uniform_)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        fully_connected(math.prod(_VGG_POOLED), 4096, channels=_VGG_POOLED[0]),
        nn.ReLU(),
        nn.Dropout(0.5),
        fully_connected(4096, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        fully_connected(4096, num_classes),
    )


def _half(size: list[int]) -> list[int]:
    """The sides of an image that was pooled to half of its size."""
    return [-(-pixels // 2) for pixels in size]
