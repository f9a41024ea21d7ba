"""Wide residual networks with pre-activation."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from deepobs.problems.initializers import glorot_uniform_
from deepobs.problems.tf_variables import in_scope
from deepobs_vision.layers import Flatten, SamePadding, conv2d, dense

_WIDTH = 4
_CHANNELS = (16 * _WIDTH, 32 * _WIDTH, 64 * _WIDTH)

_conv2d = partial(conv2d, kernel_initializer=glorot_uniform_, bias=None)
_batch_norm2d = partial(nn.BatchNorm2d, eps=1e-5, momentum=0.1)


def wide_resnet_16_4(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Depth 16, four times as wide as the usual residual network.

    Args:
        image_shape: Channels, height and width of an image.
        num_classes: Number of logits.
    """
    return _wide_resnet(image_shape, num_classes, units=2)


def wide_resnet_40_4(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Depth 40, four times as wide as the usual residual network.

    Args:
        image_shape: Channels, height and width of an image.
        num_classes: Number of logits.
    """
    return _wide_resnet(image_shape, num_classes, units=6)


class ResidualUnit(nn.Module):
    """Normalisation, ReLU and convolution, twice, around which the input is led.

    In the first unit of a block, which changes the number of channels, a convolution of 1x1 pixels
    leads around; it takes the normalised input after the ReLU, not the raw one.

    Args:
        in_channels: Channels of the images.
        out_channels: Filters of both convolutions.
        stride: Step of the first convolution and of the one that leads around.
    """

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
        shortcut = images_BCHW if self.shortcut is None else self.shortcut(activated_BCHW)
        residual: Tensor = self.residual(self.padding(activated_BCHW))
        return residual + shortcut


def _wide_resnet(
    image_shape: tuple[int, int, int], num_classes: int, *, units: int
) -> nn.Sequential:
    """A convolution, three blocks of residual units, and a dense layer on the mean pixel.

    No convolution has biases. Every kernel starts with Glorot's uniform distribution.

    Args:
        image_shape: Channels, height and width of an image.
        num_classes: Number of logits.
        units: Residual units of a block.

    References:
        Zagoruyko, Komodakis: Wide Residual Networks, BMVC 2016, arXiv:1605.07146.
    """
    in_channels = 16
    layers: list[nn.Module] = [_conv2d(image_shape[0], in_channels, 3)]
    for block, out_channels in enumerate(_CHANNELS, start=1):
        for number in range(units):
            stride = 2 if block > 1 and number == 0 else 1
            unit = ResidualUnit(in_channels, out_channels, stride)
            layers.append(in_scope(f"unit_{block}_{number}", unit))
            in_channels = out_channels
    return nn.Sequential(
        *layers,
        in_scope("unit_last", nn.Sequential(_batch_norm2d(in_channels), nn.ReLU())),
        nn.AdaptiveAvgPool2d(1),
        Flatten(),
        in_scope(
            "fully-connected",
            nn.Sequential(dense(in_channels, num_classes, kernel_initializer=glorot_uniform_)),
        ),
    )
