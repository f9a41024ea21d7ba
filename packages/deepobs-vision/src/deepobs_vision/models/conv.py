"""Plain convolutional networks."""

from __future__ import annotations

from functools import partial

from torch import nn

from deepobs.problems.initializers import truncated_normal_
from deepobs_vision.layers import Flatten, SameMaxPool2d, conv2d, dense


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


def _quarter(size: int) -> int:
    """A side of an image after it was halved twice, rounded up each time."""
    return -(-size // 4)
