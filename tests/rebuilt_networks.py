"""Networks of the original built once more in plain NumPy, from their description alone.

A network is a function of the layers at its disposal, of images (B,H,W,C) and of the number of
classes; it returns logits (B,K), and those of an auxiliary head where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow_layers as tf
from numpy.typing import NDArray
from rebuilt_inception import inception_v3
from rebuilt_layers import Array, Layers, Normalization, Weights, flat, relu

Variables = tuple[Weights, Weights]
"""The trainable variables and the moving statistics, both in the order of their creation."""

NumpyBatch = tuple[Array, NDArray[np.int64]]
"""Images (B,H,W,C) and labels (B,)."""

Network = Callable[[Layers, Array, int], Array | tuple[Array, Array]]


def conv_3c3d(layers: Layers, images: Array, num_classes: int) -> Array:
    """Three convolutional and three dense layers."""
    x = images
    for size, channels, padding in ((5, 64, "valid"), (3, 96, "valid"), (3, 128, "same")):
        x = relu(layers.add_bias(layers.conv(x, (size, size), channels, padding=padding)))
        x = tf.max_pool2d(x, 3, stride=2)
    x = relu(layers.dense(flat(x), 512))
    x = relu(layers.dense(x, 256))
    return layers.dense(x, num_classes)


def all_cnn_c(layers: Layers, images: Array, num_classes: int) -> Array:
    """All-CNN-C, as it evaluates: without dropout."""
    x = images
    for size, channels, stride, padding in (
        (3, 96, 1, "same"),
        (3, 96, 1, "same"),
        (3, 96, 2, "same"),
        (3, 192, 1, "same"),
        (3, 192, 1, "same"),
        (3, 192, 2, "same"),
        (3, 192, 1, "valid"),
        (1, 192, 1, "same"),
        (1, num_classes, 1, "same"),
    ):
        x = relu(layers.add_bias(layers.conv(x, (size, size), channels, stride, padding)))
    assert x.shape[1:3] == (6, 6)
    return x.mean(axis=(1, 2))


def wide_resnet(layers: Layers, images: Array, num_classes: int, units: int) -> Array:
    """A wide ResNet with three blocks of so many residual units, four times as wide as usual."""
    x = layers.conv(images, (3, 3), 16)
    for channels, stride in ((64, 1), (128, 2), (256, 2)):
        x = _first_unit(layers, x, channels, stride)
        for _ in range(units - 1):
            residual = relu(layers.normalize(x))
            x = x + _residual(layers, residual, channels, stride=1)
    x = relu(layers.normalize(x))
    return layers.dense(x.mean(axis=(1, 2)), num_classes)


def _first_unit(layers: Layers, images: Array, channels: int, stride: int) -> Array:
    x = relu(layers.normalize(images))
    shortcut = layers.conv(x, (1, 1), channels, stride)
    return shortcut + _residual(layers, x, channels, stride)


def _residual(layers: Layers, x: Array, channels: int, stride: int) -> Array:
    x = layers.conv(x, (3, 3), channels, stride)
    return layers.conv(relu(layers.normalize(x)), (3, 3), channels)


def cross_entropy(logits: Array, labels: NDArray[np.int64], smoothing: float = 0.0) -> Array:
    """The softmax cross entropy of each example (B,), of targets that may be smoothed."""
    num_classes = logits.shape[1]
    targets = (1 - smoothing) * np.eye(num_classes)[labels] + smoothing / num_classes
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(targets * log_probabilities).sum(axis=1)


NETWORKS: dict[str, Network] = {
    "3c3d": conv_3c3d,
    "allcnnc": all_cnn_c,
    "wrn164": partial(wide_resnet, units=2),
    "wrn404": partial(wide_resnet, units=6),
    "inception_v3": inception_v3,
}
NORMALIZATION = {
    "wrn164": Normalization(epsilon=1e-5, momentum=0.1),
    "wrn404": Normalization(epsilon=1e-5, momentum=0.1),
    "inception_v3": Normalization(epsilon=1e-3, momentum=0.0003),
}
NUM_CLASSES = {"cifar10": 10, "cifar100": 100, "svhn": 10, "imagenet": 1001}


def model_of(problem: str) -> str:
    """The second part of the name of a problem."""
    return problem.partition("_")[2]


@dataclass(frozen=True)
class Evaluation:
    """What a network makes of a batch.

    Attributes:
        logits: (B,K), of the output.
        losses: (B,), without the regularizer.
        statistics: The moving statistics after the forward pass, in the training phase alone.
    """

    logits: Array
    losses: Array
    statistics: dict[str, Array]


def evaluate(
    problem: str,
    variables: Variables,
    batch: NumpyBatch,
    *,
    is_training: bool,
) -> Evaluation:
    """Evaluate a rebuilt network on a batch.

    Args:
        problem: The name of a test problem.
        variables: Those of the original.
        batch: What to evaluate it on.
        is_training: Whether normalizations use the statistics of the batch, and losses include
            that of an auxiliary head.
    """
    model = model_of(problem)
    layers = Layers(*variables, is_training=is_training, normalization=NORMALIZATION.get(model))
    images, labels = batch
    num_classes = NUM_CLASSES[problem.partition("_")[0]]
    outputs = NETWORKS[model](layers, images.astype(np.float64), num_classes)
    layers.assert_all_taken()
    if isinstance(outputs, tuple):
        logits, auxiliary = outputs
        losses = cross_entropy(logits, labels, smoothing=0.1)
        if is_training:
            losses = losses + 0.4 * cross_entropy(auxiliary, labels, smoothing=0.1)
    else:
        logits, losses = outputs, cross_entropy(outputs, labels)
    return Evaluation(logits, losses, layers.new_statistics)
