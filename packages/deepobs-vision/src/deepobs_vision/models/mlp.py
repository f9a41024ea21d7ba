"""A multilayer perceptron."""

from __future__ import annotations

import math
from functools import partial

from torch import nn

from deepobs.problems.initializers import truncated_normal_
from deepobs_vision.layers import Flatten, dense


def mlp(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Three hidden layers of 1000, 500 and 100 ReLUs; kernels of scale 0.03, biases 0.

    Args:
        image_shape: Channels, height and width of an image.
        num_classes: Number of logits.
    """
    layer = partial(dense, kernel_initializer=partial(truncated_normal_, standard_deviation=0.03))
    return nn.Sequential(
        Flatten(),
        layer(math.prod(image_shape), 1000),
        nn.ReLU(),
        layer(1000, 500),
        nn.ReLU(),
        layer(500, 100),
        nn.ReLU(),
        layer(100, num_classes),
    )
