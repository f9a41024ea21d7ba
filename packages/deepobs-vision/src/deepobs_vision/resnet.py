"""Residual networks for classification, as torchvision has them; arguments and axes as in `models`.

Weights start as in torchvision: kernels of convolutions from He's normal distribution of the
outputs, normalizations as the identity, and dense layers as torch's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepobs_vision.dense import Shape

    Residual = Callable[[int, int, int], nn.Sequential]

_CHANNELS = (64, 128, 256, 512)
_BOTTLENECK = 4


def small_resnet18(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """ResNet-18 for small images: a first convolution of 3x3 with stride 1, and no pooling.

    References:
        He et al.: Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385.
    """
    stem = _normalized(image_shape[0], _CHANNELS[0], 3)
    return _resnet([*stem, nn.ReLU()], _CHANNELS, (2, 2, 2, 2), _two_layers, num_classes)


def resnet50(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """ResNet-50; bottlenecks halve the image in their convolution of 3x3, as in torchvision.

    References:
        He et al.: Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385.
    """
    stem = _normalized(image_shape[0], _CHANNELS[0], 7, stride=2)
    layers = [*stem, nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]
    return _resnet(layers, _CHANNELS, (3, 4, 6, 3), _bottleneck, num_classes, _BOTTLENECK)


def tiny_resnet(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """A residual network for images of 8x8 pixels: 16, 32 and 64 channels, one unit of each."""
    channels = (16, 32, 64)
    stem = _normalized(image_shape[0], channels[0], 3)
    return _resnet([*stem, nn.ReLU()], channels, (1, 1, 1), _two_layers, num_classes)


class ResidualUnit(nn.Module):
    """Adds a residual to the input, which a convolution of 1x1 adapts to another shape.

    Args:
        residual: Computes the residual.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the residual.
    """

    def __init__(
        self, residual: nn.Sequential, in_channels: int, out_channels: int, stride: int
    ) -> None:
        super().__init__()
        self.residual = residual
        is_same = in_channels == out_channels and stride == 1
        self.shortcut = (
            nn.Identity() if is_same else _normalized(in_channels, out_channels, 1, stride)
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Transform images."""
        return F.relu(self.residual(images_BCHW) + self.shortcut(images_BCHW))


def _resnet(
    stem: Sequence[nn.Module],
    channels: Sequence[int],
    units: Sequence[int],
    residual: Residual,
    num_classes: int,
    expansion: int = 1,
) -> nn.Sequential:
    """A network of blocks, each with `units` residual units; all but the first halve the image.

    Args:
        stem: The layers before the blocks, with as many channels as the first one.
        channels: Channels of each block.
        units: Residual units of each block.
        residual: Creates a residual of so many input channels, channels and stride.
        num_classes: Number of logits.
        expansion: Output channels of a unit, divided by those of its block.
    """
    layers = list(stem)
    in_channels = channels[0]
    for block, (width, count) in enumerate(zip(channels, units, strict=True)):
        for number in range(count):
            stride = 2 if block and not number else 1
            inner, out_channels = residual(in_channels, width, stride), width * expansion
            layers.append(ResidualUnit(inner, in_channels, out_channels, stride))
            in_channels = out_channels
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, num_classes))
    return nn.Sequential(*layers, *head)


def _two_layers(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *_normalized(in_channels, channels, 3, stride),
        nn.ReLU(),
        *_normalized(channels, channels, 3),
    )


def _bottleneck(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *_normalized(in_channels, channels, 1),
        nn.ReLU(),
        *_normalized(channels, channels, 3, stride),
        nn.ReLU(),
        *_normalized(channels, channels * _BOTTLENECK, 1),
    )


def _normalized(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
) -> nn.Sequential:
    """A convolution without biases and its batch normalization."""
    padding = kernel_size // 2
    kernel = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
    nn.init.kaiming_normal_(kernel.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(kernel, nn.BatchNorm2d(out_channels))
