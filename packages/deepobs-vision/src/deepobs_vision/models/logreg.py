"""Multinomial logistic regression."""

from __future__ import annotations

import math

from torch import nn

from deepobs_vision.layers import Flatten, dense


def logreg(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """One dense layer, which starts at 0 throughout.

    Args:
        image_shape: Channels, height and width of an image.
        num_classes: Number of logits.
    """
    pixels = math.prod(image_shape)
    return nn.Sequential(Flatten(), dense(pixels, num_classes, kernel_initializer=nn.init.zeros_))
