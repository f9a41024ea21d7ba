"""Wide residual networks for classification; arguments and names of axes as in `models`."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from deepobs.problems.initializers import glorot_uniform_
from deepobs.problems.tf_variables import in_scope
from deepobs_vision.dense import Shape, dense
from deepobs_vision.layers import SamePadding, conv2d

_WIDTH = 4
_WIDE_CHANNELS = (16 * _WIDTH, 32 * _WIDTH, 64 * _WIDTH)

_conv2d = partial(conv2d, kernel_initializer=glorot_uniform_, bias=None)
_batch_norm2d = partial(nn.BatchNorm2d, eps=1e-5, momentum=0.1)


def wide_resnet_16_4(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """Depth 16, four times as wide as the usual residual network."""
    return _wide_resnet(image_shape, num_classes, units=2)


def wide_resnet_40_4(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """Depth 40, four times as wide as the usual residual network."""
    return _wide_resnet(image_shape, num_classes, units=6)


class ResidualUnit(nn.Module):
    """Normalization, ReLU and convolution, twice, with a shortcut around them."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.activation = nn.Sequential(_batch_norm2d(in_channels), nn.ReLU())
        self.shortcut = (
            _conv2d(in_channels, out_channels, 1, stride=stride)
            if in_channels != out_channels
            else None
        )
        is_strided = stride > 1
        self.padding = SamePadding(3, stride) if is_strided else nn.Identity()
        self.residual = nn.Sequential(
            _conv2d(
                in_channels,
                out_channels,
                3,
                stride=stride,
                padding="valid" if is_strided else "same",
            ),
            _batch_norm2d(out_channels),
            nn.ReLU(),
            _conv2d(out_channels, out_channels, 3),
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Transform images."""
        activated_BCHW: Tensor = self.activation(images_BCHW)
        # A convolutional shortcut takes the activated input, but an identity the raw one.
        shortcut = images_BCHW if self.shortcut is None else self.shortcut(activated_BCHW)
        residual: Tensor = self.residual(self.padding(activated_BCHW))
        return residual + shortcut


def _wide_resnet(image_shape: Shape, num_classes: int, *, units: int) -> nn.Sequential:
    """A convolution, three blocks of residual units, and a dense layer on the mean pixel.

    Convolutions have no biases. Kernels start from Glorot's uniform distribution.

    References:
        Zagoruyko, Komodakis: Wide Residual Networks, BMVC 2016, arXiv:1605.07146.
    """
    in_channels = 16
    layers: list[nn.Module] = [_conv2d(image_shape[0], in_channels, 3)]
    for block, out_channels in enumerate(_WIDE_CHANNELS, start=1):
        for number in range(units):
            stride = 2 if block > 1 and number == 0 else 1
            unit = ResidualUnit(in_channels, out_channels, stride)
            layers.append(in_scope(f"unit_{block}_{number}", unit))
            in_channels = out_channels
    return nn.Sequential(
        *layers,
        in_scope("unit_last", nn.Sequential(_batch_norm2d(in_channels), nn.ReLU())),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        in_scope(
            "fully-connected",
            nn.Sequential(dense(in_channels, num_classes, kernel_initializer=glorot_uniform_)),
        ),
    )
