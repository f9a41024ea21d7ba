"""Dense layers as in TensorFlow, and the networks that consist of them.

Networks take `image_shape` (channels, height and width of an image) and `num_classes` (the number
of logits). Axes in the names of tensors: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn

from deepobs.problems.initializers import truncated_normal_

if TYPE_CHECKING:
    from deepobs.problems.initializers import Initializer

Shape = tuple[int, int, int]


def logreg(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """One dense layer that starts at 0."""
    pixels = math.prod(image_shape)
    return nn.Sequential(Flatten(), dense(pixels, num_classes, kernel_initializer=nn.init.zeros_))


def mlp(image_shape: Shape, num_classes: int) -> nn.Sequential:
    """Three hidden layers of 1000, 500 and 100 ReLUs; kernels of scale 0.03, biases 0."""
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


def dense(
    in_features: int, out_features: int, *, kernel_initializer: Initializer, bias: float = 0.0
) -> nn.Linear:
    """Create a fully connected layer whose biases all start at `bias`."""
    layer = nn.Linear(in_features, out_features)
    kernel_initializer(layer.weight)
    nn.init.constant_(layer.bias, bias)
    return layer


class Flatten(nn.Module):
    """Flattens images (B,C,H,W) to vectors (B,H*W*C), in TensorFlow's order.

    So the kernel of a dense layer that follows is the transpose of TensorFlow's.
    """

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Flatten images; the result is a view if there is only one channel."""
        return images_BCHW.permute(0, 2, 3, 1).flatten(1)
