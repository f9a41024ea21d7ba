"""Inception v3 of the original built once more in plain NumPy, from its description alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow_layers as tf
from rebuilt_layers import flat, relu

if TYPE_CHECKING:
    from rebuilt_layers import Array, Layers


def inception_v3(layers: Layers, images: Array, num_classes: int) -> tuple[Array, Array]:
    """Inception v3: the logits of the output and those of the auxiliary head."""
    x = _stem(layers, tf.resize_bilinear(images, 299, 299))
    for pool_channels in (32, 64, 64):
        x = _block_5(layers, x, pool_channels)
    x = _block_10(layers, x)
    for channels in (128, 160, 160, 192):
        x = _block_6(layers, x, channels)
    auxiliary = _auxiliary_head(layers, x, num_classes)
    x = _block_d(layers, x)
    for _ in range(2):
        x = _block_7(layers, x)
    x = flat(tf.average_pool2d(x, 8, stride=1, padding="valid"))
    assert x.shape[1] == 2048
    return layers.dense(x, num_classes), auxiliary


def _unit(
    layers: Layers,
    images: Array,
    size: int | tuple[int, int],
    channels: int,
    stride: int = 1,
    padding: str = "same",
) -> Array:
    """A convolution, normalized, and ReLU."""
    height_width = (size, size) if isinstance(size, int) else size
    return relu(layers.normalize(layers.conv(images, height_width, channels, stride, padding)))


def _concat(*branches: Array) -> Array:
    return np.concatenate(branches, axis=-1)


def _stem(layers: Layers, images: Array) -> Array:
    x = _unit(layers, images, 3, 32, stride=2, padding="valid")
    x = _unit(layers, x, 3, 32, padding="valid")
    x = _unit(layers, x, 3, 64)
    x = tf.max_pool2d(x, 3, stride=2, padding="valid")
    x = _unit(layers, x, 1, 80, padding="valid")
    x = _unit(layers, x, 3, 192, padding="valid")
    x = tf.max_pool2d(x, 3, stride=2, padding="valid")
    assert x.shape[1:] == (35, 35, 192)
    return x


def _block_5(layers: Layers, x: Array, pool_channels: int) -> Array:
    pointwise = _unit(layers, x, 1, 64)
    pool = _unit(layers, tf.average_pool2d(x, 3, stride=1), 1, pool_channels)
    wide = _unit(layers, x, 1, 48)
    wide = _unit(layers, wide, 5, 64)
    deep = _unit(layers, x, 1, 64)
    deep = _unit(layers, deep, 3, 96)
    deep = _unit(layers, deep, 3, 96)
    return _concat(pointwise, pool, wide, deep)


def _block_10(layers: Layers, x: Array) -> Array:
    pool = tf.max_pool2d(x, 3, stride=2, padding="valid")
    short = _unit(layers, x, 3, 384, stride=2, padding="valid")
    long = _unit(layers, x, 1, 64)
    long = _unit(layers, long, 3, 96)
    long = _unit(layers, long, 3, 96, stride=2, padding="valid")
    return _concat(pool, short, long)


def _block_6(layers: Layers, x: Array, channels: int) -> Array:
    pointwise = _unit(layers, x, 1, 192)
    pool = _unit(layers, tf.average_pool2d(x, 3, stride=1), 1, 192)
    short = _unit(layers, x, 1, channels)
    short = _unit(layers, short, (1, 7), channels)
    short = _unit(layers, short, (7, 1), 192)
    long = _unit(layers, x, 1, channels)
    long = _unit(layers, long, (7, 1), channels)
    long = _unit(layers, long, (1, 7), channels)
    long = _unit(layers, long, (7, 1), channels)
    long = _unit(layers, long, (1, 7), 192)
    return _concat(pointwise, pool, short, long)


def _auxiliary_head(layers: Layers, x: Array, num_classes: int) -> Array:
    x = tf.average_pool2d(x, 5, stride=3, padding="valid")
    x = _unit(layers, x, 1, 128)
    x = _unit(layers, x, 5, 768, padding="valid")
    assert x.shape[1:] == (1, 1, 768)
    return layers.dense(flat(x), num_classes)


def _block_d(layers: Layers, x: Array) -> Array:
    pool = tf.max_pool2d(x, 3, stride=2, padding="valid")
    long = _unit(layers, x, 1, 192)
    long = _unit(layers, long, (1, 7), 192)
    long = _unit(layers, long, (7, 1), 192)
    long = _unit(layers, long, 3, 192, stride=2, padding="valid")
    short = _unit(layers, x, 1, 192)
    short = _unit(layers, short, 3, 320, stride=2, padding="valid")
    return _concat(pool, long, short)


def _block_7(layers: Layers, x: Array) -> Array:
    pointwise = _unit(layers, x, 1, 320)
    short = _forked(layers, _unit(layers, x, 1, 384))
    long = _unit(layers, x, 1, 448)
    long = _forked(layers, _unit(layers, long, 3, 384))
    pool = _unit(layers, tf.average_pool2d(x, 3, stride=1), 1, 192)
    return _concat(pointwise, short, long, pool)


def _forked(layers: Layers, x: Array) -> Array:
    return _concat(_unit(layers, x, (1, 3), 384), _unit(layers, x, (3, 1), 384))
