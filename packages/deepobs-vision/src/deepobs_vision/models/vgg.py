"""VGG: deep stacks of 3x3 convolutions."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from deepobs.problems.initializers import glorot_normal_, glorot_uniform_
from deepobs_vision.layers import Flatten, ResizeBilinear, conv2d, dense

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHANNELS = (64, 128, 256, 512, 512)
_SIZE = 224
_POOLED = (512, 7, 7)


def vgg16(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Thirteen convolutions and three dense layers.

    Args:
        image_shape: Channels, height and width of an image; it is resized to 224x224.
        num_classes: Number of logits.
    """
    return _vgg(image_shape, num_classes, convolutions=(2, 2, 3, 3, 3))


def vgg19(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Sixteen convolutions and three dense layers.

    Args:
        image_shape: Channels, height and width of an image; it is resized to 224x224.
        num_classes: Number of logits.
    """
    return _vgg(image_shape, num_classes, convolutions=(2, 2, 4, 4, 4))


def _vgg(
    image_shape: tuple[int, int, int], num_classes: int, *, convolutions: Sequence[int]
) -> nn.Sequential:
    """Blocks of convolutions that end in maxima of 2x2 pixels, and dense layers with dropout.

    Kernels of convolutions start with Glorot's normal distribution, truncated, and those of dense
    layers with his uniform one; biases with 0. There is no batch normalisation.

    Args:
        image_shape: Channels, height and width of an image.
        num_classes: Number of logits.
        convolutions: Number of convolutions of each block.

    References:
        Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition,
        ICLR 2015, arXiv:1409.1556, configurations D and E.
    """
    layers: list[nn.Module] = [ResizeBilinear(_SIZE)]
    in_channels = image_shape[0]
    for out_channels, count in zip(_CHANNELS, convolutions, strict=True):
        for _ in range(count):
            layers.append(conv2d(in_channels, out_channels, 3, kernel_initializer=glorot_normal_))
            layers.append(nn.ReLU())
            in_channels = out_channels
        layers.append(nn.MaxPool2d(2, 2))
    fully_connected = partial(dense, kernel_initializer=glorot_uniform_)
    return nn.Sequential(
        *layers,
        Flatten(),
        fully_connected(math.prod(_POOLED), 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        fully_connected(4096, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        fully_connected(4096, num_classes),
    )
