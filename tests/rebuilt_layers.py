"""Layers in plain NumPy that take the variables of the original in the order of their creation.

Images are (B,H,W,C). Nothing here imports torch or a package of ours. Computed in double precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow_layers as tf
from numpy.typing import NDArray

Array = NDArray[np.floating]
Weights = Mapping[str, Array]


class Normalization(NamedTuple):
    """The constants of batch normalization.

    Attributes:
        epsilon: What is added to a variance.
        momentum: The share of a batch in moving statistics after a forward pass.
    """

    epsilon: float
    momentum: float


class Layers:
    """Layers that take the variables of the original in the order of their creation.

    So a network proves its order of variables, too: each layer states the kind and the shape of
    the variables it needs, and they must be those of the variables that come next.

    Args:
        trainable: The trainable variables, in the order of their creation.
        statistics: A moving mean and a moving variance for each normalization, likewise.
        is_training: Whether normalizations use the statistics of the batch.
        normalization: The constants of its normalizations, if it has any.

    Attributes:
        new_statistics: The moving statistics after a forward pass in the training phase.
    """

    def __init__(
        self,
        trainable: Weights,
        statistics: Weights,
        *,
        is_training: bool,
        normalization: Normalization | None,
    ) -> None:
        self._trainable = list(trainable.items())
        self._statistics = list(statistics.items())
        self._is_training = is_training
        self._normalization = normalization
        self.new_statistics: dict[str, Array] = {}

    def conv(
        self,
        images: Array,
        size: tuple[int, int],
        channels: int,
        stride: int = 1,
        padding: str = "same",
    ) -> Array:
        """A convolution without bias."""
        kernel = self._weight("kernel", (*size, images.shape[-1], channels))
        return tf.conv2d(images, kernel, stride, padding)

    def dense(self, x: Array, outputs: int) -> Array:
        """A dense layer."""
        return self.add_bias(x @ self._weight("kernel", (x.shape[-1], outputs)))

    def add_bias(self, x: Array) -> Array:
        """A bias for each channel."""
        return x + self._weight("bias", x.shape[-1:])

    def normalize(self, images: Array) -> Array:
        """A batch normalization."""
        gamma = self._weight("gamma", images.shape[-1:])
        beta = self._weight("beta", images.shape[-1:])
        assert self._normalization is not None
        epsilon, momentum = self._normalization
        mean, variance = self._mean_and_variance(images, momentum)
        return gamma * (images - mean) / np.sqrt(variance + epsilon) + beta

    def assert_all_taken(self) -> None:
        """No variable may be left over."""
        assert not self._trainable
        assert not self._statistics

    def _mean_and_variance(self, images: Array, momentum: float) -> tuple[Array, Array]:
        mean_name, moving_mean = _taken(self._statistics, "moving_mean", images.shape[-1:])
        variance_name, moving_variance = _taken(
            self._statistics, "moving_variance", images.shape[-1:]
        )
        if not self._is_training:
            return moving_mean, moving_variance
        mean, variance = images.mean(axis=(0, 1, 2)), images.var(axis=(0, 1, 2))
        unbiased = images.var(axis=(0, 1, 2), ddof=1)
        self.new_statistics[mean_name] = (1 - momentum) * moving_mean + momentum * mean
        self.new_statistics[variance_name] = (1 - momentum) * moving_variance + momentum * unbiased
        return mean, variance

    def _weight(self, kind: str, shape: tuple[int, ...]) -> Array:
        return _taken(self._trainable, kind, shape)[1]


def _taken(
    variables: list[tuple[str, Array]], kind: str, shape: tuple[int, ...]
) -> tuple[str, Array]:
    """The next variable and its name."""
    name, array = variables.pop(0)
    assert name.endswith(f"/{kind}:0"), f"a {kind} is needed, but {name} comes next"
    assert array.shape == shape, f"{shape} is needed, but {name} has {array.shape}"
    return name, array.astype(np.float64)


def relu(x: Array) -> Array:
    """What is positive."""
    return np.maximum(x, 0)


def flat(images: Array) -> Array:
    """(B,H,W,C) to (B,HWC)."""
    return images.reshape(len(images), -1)
