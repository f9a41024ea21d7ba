"""Plain convolutional networks."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from deepobs.problems.initializers import glorot_normal_, glorot_uniform_, truncated_normal_
from deepobs_vision.layers import Flatten, SameMaxPool2d, SamePadding, conv2d, dense


def conv_2c2d(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Two convolutions (32 and 64 filters of 5x5), each pooled to half the size, two dense layers.

    All kernels have scale 0.05, and all biases start at 0.05, those of the logits too.

    Args:
        image_shape: Channels, height and width of an image.
        num_classes: Number of logits.
    """
    channels, height, width = image_shape
    kernel_initializer = partial(truncated_normal_, standard_deviation=0.05)
    convolution = partial(conv2d, kernel_initializer=kernel_initializer, bias=0.05)
    fully_connected = partial(dense, kernel_initializer=kernel_initializer, bias=0.05)
    features = 64 * _quarter(height) * _quarter(width)
    return nn.Sequential(
        convolution(channels, 32, 5),
        nn.ReLU(),
        SameMaxPool2d(2, 2),
        convolution(32, 64, 5),
        nn.ReLU(),
        SameMaxPool2d(2, 2),
        Flatten(),
        fully_connected(features, 1024),
        nn.ReLU(),
        fully_connected(1024, num_classes),
    )


def conv_3c3d(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Three convolutions (64, 96 and 128 filters), each pooled 3/2, and three dense layers.

    Kernels of convolutions start with Glorot's normal distribution, truncated, and those of dense
    layers with his uniform one; biases with 0.

    Args:
        image_shape: Channels, height and width of an image.
        num_classes: Number of logits.
    """
    channels, height, width = image_shape
    convolution = partial(conv2d, kernel_initializer=glorot_normal_)
    fully_connected = partial(dense, kernel_initializer=glorot_uniform_)
    features = 128 * _after_3c3d(height) * _after_3c3d(width)
    return nn.Sequential(
        convolution(channels, 64, 5, padding="valid"),
        nn.ReLU(),
        SameMaxPool2d(3, 2),
        convolution(64, 96, 3, padding="valid"),
        nn.ReLU(),
        SameMaxPool2d(3, 2),
        convolution(96, 128, 3),
        nn.ReLU(),
        SameMaxPool2d(3, 2),
        Flatten(),
        fully_connected(features, 512),
        nn.ReLU(),
        fully_connected(512, 256),
        nn.ReLU(),
        fully_connected(256, num_classes),
    )


def all_cnn_c(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Nine convolutions and nothing else, with dropout; the logits are means of the last one.

    A ReLU follows on the last convolution, too, so that no logit is negative. Kernels start with
    Glorot's normal distribution, truncated, and biases with 0.1.

    Args:
        image_shape: Channels, height and width of an image.
        num_classes: Number of logits.

    References:
        Springenberg et al.: Striving for Simplicity, ICLR 2015 workshop, arXiv:1412.6806.
    """
    layer = partial(conv2d, kernel_initializer=glorot_normal_, bias=0.1)

    def convolution(*arguments: int, **options: Any) -> list[nn.Module]:
        return [layer(*arguments, **options), nn.ReLU()]

    def halving(channels: int) -> list[nn.Module]:
        """Two convolutions, the second one with stride 2."""
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
        *convolution(192, num_classes, 1),
        nn.AdaptiveAvgPool2d(1),
        Flatten(),
    )


def _quarter(size: int) -> int:
    """A side of an image after it was halved twice, rounded up each time."""
    return -(-size // 4)


def _after_3c3d(size: int) -> int:
    """A side of an image after the convolutions of `conv_3c3d`; 3 for 32."""
    return _quarter(-(-(size - 4) // 2) - 2)
