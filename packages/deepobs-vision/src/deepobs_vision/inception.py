"""Inception v3 as in the original DeepOBS: with an auxiliary head, without dropout.

Axes in the names of tensors: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepobs.problems.initializers import glorot_uniform_
from deepobs.problems.tf_variables import in_scope
from deepobs_vision.classification import ImageClassification
from deepobs_vision.dense import dense
from deepobs_vision.layers import ResizeBilinear, conv2d

if TYPE_CHECKING:
    from deepobs.problems import Reduction
    from deepobs.protocols import Batch

_SIZE = 299
_SMOOTHING = 0.1
_AUXILIARY_WEIGHT = 0.4

_dense = partial(dense, kernel_initializer=glorot_uniform_)


class InceptionClassification(ImageClassification):
    """Cross-entropy with labels smoothed by 0.1, plus 0.4 times that of a second head in training.

    In training mode, the model also returns the logits of the second head.
    """

    def set_up(self) -> None:
        """Load the data and build the model; the loss is that of two outputs."""
        super().set_up()
        self.loss_function = None

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, Tensor]:
        """Compute the cross-entropy in nats, and the logits of the first head.

        Args:
            batch: Images (B,C,H,W) and labels (B,).
            reduction: "none" for one loss per image, "mean" or "sum".
        """
        images_BCHW, labels_B = batch
        # Smoothed in evaluation, too, as in the original: its published losses include it.
        cross_entropy = partial(
            F.cross_entropy, target=labels_B, reduction=reduction, label_smoothing=_SMOOTHING
        )
        logits_BK, auxiliary_BK = self.model(images_BCHW)
        losses = cross_entropy(logits_BK)
        if auxiliary_BK is not None:
            losses = losses + _AUXILIARY_WEIGHT * cross_entropy(auxiliary_BK)
        return losses, logits_BK


class InceptionV3(nn.Module):
    """Blocks of parallel branches, and two heads: the second only for training.

    Args:
        image_shape: Channels, height and width of an image; it is resized to 299x299.
        num_classes: Number of logits.

    References:
        Szegedy et al.: Rethinking the Inception Architecture for Computer Vision, CVPR 2016,
        arXiv:1512.00567.
    """

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            ResizeBilinear(_SIZE),
            _stem(image_shape[0]),
            _block5("inception_block5a", 192, pooled=32),
            _block5("inception_block5b_0", 256, pooled=64),
            _block5("inception_block5b_1", 288, pooled=64),
            _block10(288),
            _block6("inception_block6a", filters=128),
            _block6("inception_block6b_0", filters=160),
            _block6("inception_block6b_1", filters=160),
            _block6("inception_block6c", filters=192),
        )
        self.auxiliary_head = _auxiliary_head(num_classes)
        self.main_head = nn.Sequential(
            _block_d(),
            _block7("inception_block7_0", 1280),
            _block7("inception_block7_1", 2048),
            nn.AvgPool2d(8, 1),
            nn.Flatten(),
            # No dropout: the original intends to drop 80 % of these features, but never does.
            in_scope("output", nn.Sequential(_dense(2048, num_classes))),
        )

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute the logits and, in training mode, those of the auxiliary head."""
        features_BCHW = self.trunk(images_BCHW)
        auxiliary_BK = self.auxiliary_head(features_BCHW) if self.training else None
        return self.main_head(features_BCHW), auxiliary_BK


class Concatenation(nn.Module):
    """Parallel branches, whose channels are concatenated in order."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Transform images."""
        return torch.cat([branch(images_BCHW) for branch in self.branches], dim=1)


def _convolution(
    in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], **options: Any
) -> nn.Sequential:
    """A convolution without biases, batch normalization and a ReLU."""
    return nn.Sequential(
        conv2d(
            in_channels,
            out_channels,
            kernel_size,
            kernel_initializer=glorot_uniform_,
            bias=None,
            **options,
        ),
        nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.0003),
        nn.ReLU(),
    )


def _block(name: str, *branches: nn.Sequential) -> Concatenation:
    return in_scope(
        name,
        Concatenation(
            *(in_scope(f"branch{number}", branch) for number, branch in enumerate(branches))
        ),
    )


def _average_pool() -> nn.AvgPool2d:
    """Means of 3x3 pixels, or of fewer at the edges."""
    return nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)


def _stem(channels: int) -> nn.Sequential:
    """Images of 299x299 to 192 channels of 35x35 pixels."""
    stem = nn.Sequential(
        _convolution(channels, 32, 3, stride=2, padding="valid"),
        _convolution(32, 32, 3, padding="valid"),
        _convolution(32, 64, 3),
        nn.MaxPool2d(3, 2),
        _convolution(64, 80, 1),
        _convolution(80, 192, 3, padding="valid"),
        nn.MaxPool2d(3, 2),
    )
    return in_scope("stem", stem)


def _block5(name: str, channels: int, *, pooled: int) -> nn.Module:
    """To 224 + `pooled` channels of 35x35 pixels."""
    return _block(
        name,
        _convolution(channels, 64, 1),
        nn.Sequential(_average_pool(), _convolution(channels, pooled, 1)),
        nn.Sequential(_convolution(channels, 48, 1), _convolution(48, 64, 5)),
        nn.Sequential(
            _convolution(channels, 64, 1), _convolution(64, 96, 3), _convolution(96, 96, 3)
        ),
    )


def _block10(channels: int) -> nn.Module:
    """To 768 channels of 17x17 pixels."""
    return _block(
        "inception_block10",
        nn.Sequential(nn.MaxPool2d(3, 2)),
        _convolution(channels, 384, 3, stride=2, padding="valid"),
        nn.Sequential(
            _convolution(channels, 64, 1),
            _convolution(64, 96, 3),
            _convolution(96, 96, 3, stride=2, padding="valid"),
        ),
    )


def _block6(name: str, *, filters: int) -> nn.Module:
    """To 768 channels of 17x17 pixels."""
    row, column = (1, 7), (7, 1)
    return _block(
        name,
        _convolution(768, 192, 1),
        nn.Sequential(_average_pool(), _convolution(768, 192, 1)),
        nn.Sequential(
            _convolution(768, filters, 1),
            _convolution(filters, filters, row),
            _convolution(filters, 192, column),
        ),
        nn.Sequential(
            _convolution(768, filters, 1),
            _convolution(filters, filters, column),
            _convolution(filters, filters, row),
            _convolution(filters, filters, column),
            _convolution(filters, 192, row),
        ),
    )


def _auxiliary_head(num_classes: int) -> nn.Sequential:
    head = nn.Sequential(
        nn.AvgPool2d(5, 3),
        _convolution(768, 128, 1),
        _convolution(128, 768, 5, padding="valid"),
        nn.Flatten(),
        _dense(768, num_classes),
    )
    return in_scope("aux_head", head)


def _block_d() -> nn.Module:
    """To 1280 channels of 8x8 pixels."""
    return _block(
        "inception_blockD",
        nn.Sequential(nn.MaxPool2d(3, 2)),
        nn.Sequential(
            _convolution(768, 192, 1),
            _convolution(192, 192, (1, 7)),
            _convolution(192, 192, (7, 1)),
            _convolution(192, 192, 3, stride=2, padding="valid"),
        ),
        nn.Sequential(
            _convolution(768, 192, 1), _convolution(192, 320, 3, stride=2, padding="valid")
        ),
    )


def _block7(name: str, channels: int) -> nn.Module:
    """To 2048 channels of 8x8 pixels."""

    def row_and_column() -> Concatenation:
        return Concatenation(_convolution(384, 384, (1, 3)), _convolution(384, 384, (3, 1)))

    return _block(
        name,
        _convolution(channels, 320, 1),
        nn.Sequential(_convolution(channels, 384, 1), row_and_column()),
        nn.Sequential(_convolution(channels, 448, 1), _convolution(448, 384, 3), row_and_column()),
        nn.Sequential(_average_pool(), _convolution(channels, 192, 1)),
    )
