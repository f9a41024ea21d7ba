"""Dense layers as in TensorFlow, and the networks that consist of them.

Networks take `image_shape` (channels, height and width of an image) and `num_classes` (the number
of logits). Axes in the names of tensors: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from deepobs.problems.initializers import truncated_normal_
from deepobs.problems.tf_variables import of_flattened

if TYPE_CHECKING:
    from deepobs.problems.initializers import Initializer

Shape = tuple[int, int, int]


def logreg(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """One dense layer that starts at 0."""
    layer = partial(dense, kernel_initializer=nn.init.zeros_, channels=image_shape[0])
    return nn.Sequential(nn.Flatten(), layer(math.prod(image_shape), num_classes))


def mlp(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """Three hidden layers of 1000, 500 and 100 ReLUs; kernels of scale 0.03, biases 0."""
    layer = partial(dense, kernel_initializer=partial(truncated_normal_, standard_deviation=0.03))
    return nn.Sequential(
        nn.Flatten(),
        layer(math.prod(image_shape), 1000, channels=image_shape[0]),
        nn.ReLU(),
        layer(1000, 500),
        nn.ReLU(),
        layer(500, 100),
        nn.ReLU(),
        layer(100, num_classes),
    )


def dense(
    in_features: int,
    out_features: int,
    *,
    kernel_initializer: Initializer,
    bias: float = 0.0,
    channels: int = 1,
) -> nn.Linear:
    """Create a fully connected layer.

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs.
        kernel_initializer: Applied to the kernel.
        bias: Initial value of all biases.
        channels: Channels of the images whose flattened pixels are the inputs.
    """
    layer = of_flattened(channels, nn.Linear(in_features, out_features))
    kernel_initializer(layer.weight)
    nn.init.constant_(layer.bias, bias)
    return layer
