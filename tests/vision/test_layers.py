from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tensorflow_layers as tf
import torch
from torch import nn

from deepobs.errors import ArgumentError
from deepobs.problems.initializers import glorot_uniform_
from deepobs_vision.dense import dense
from deepobs_vision.layers import ResizeBilinear, conv2d, conv2d_transpose, max_pool2d

if TYPE_CHECKING:
    from pathlib import Path

ones = partial(nn.init.constant_, val=1.0)


def random_images(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.RandomState(0).standard_normal((2, height, width, channels))


def as_torch(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(tf.to_torch_layout(images))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel_size", [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (1, 7), (4, 3)])
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (13, 10)])
def test_a_convolution_pads_as_tensorflow(
    size: tuple[int, int], kernel_size: tuple[int, int], stride: int
) -> None:
    layer = conv2d(3, 5, kernel_size, stride=stride, kernel_initializer=glorot_uniform_).double()
    images = random_images(*size)
    kernel = layer.weight.detach().permute(2, 3, 1, 0).numpy()
    expected = tf.to_torch_layout(tf.conv2d(images, kernel, stride))
    np.testing.assert_allclose(layer(as_torch(images)).detach(), expected, atol=1e-12)


def test_a_strided_convolution_of_an_even_size_begins_at_the_first_pixel() -> None:
    layer = conv2d(1, 1, 3, stride=2, kernel_initializer=nn.init.zeros_)
    with torch.no_grad():
        layer.weight[0, 0, 0, 0] = 1
    images = torch.arange(64.0).reshape(1, 1, 8, 8)
    assert torch.equal(layer(images), images[..., ::2, ::2])


@pytest.mark.parametrize(("kernel_size", "padding"), [(5, (2, 2)), (3, (1, 1)), ((1, 7), (0, 3))])
def test_symmetric_padding_is_left_to_torch(
    kernel_size: int | tuple[int, int], padding: tuple[int, int]
) -> None:
    layer = conv2d(2, 3, kernel_size, kernel_initializer=ones)
    assert type(layer) is nn.Conv2d
    assert layer.padding == padding


def test_a_valid_convolution_pads_nothing() -> None:
    layer = conv2d(1, 1, 3, stride=2, padding="valid", kernel_initializer=ones)
    assert type(layer) is nn.Conv2d
    assert layer(torch.ones(1, 1, 8, 8)).tolist() == torch.full((1, 1, 3, 3), 9.0).tolist()


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (28, 13)])
@pytest.mark.parametrize("window", [(2, 2), (3, 2), (3, 1), (3, 3), (2, 3), (5, 2), (4, 2)])
def test_maxima_are_padded_with_minus_infinity(
    size: tuple[int, int], window: tuple[int, int]
) -> None:
    images = random_images(*size) - 10
    expected = tf.to_torch_layout(tf.max_pool2d(images, *window))
    layer = max_pool2d(*window, size=size)
    assert type(layer) is nn.MaxPool2d
    np.testing.assert_array_equal(layer(as_torch(images)), expected)


def test_an_even_window_without_stride_is_refused() -> None:
    with pytest.raises(ArgumentError, match="must be odd if stride is 1, got 2"):
        max_pool2d(2, 1, size=(8, 8))


@pytest.mark.parametrize("window", [(4, 2), (4, 1), (3, 1), (3, 2), (5, 2), (2, 2)])
@pytest.mark.parametrize("size", [(7, 7), (4, 6)])
def test_a_transposed_convolution_crops_as_tensorflow(
    size: tuple[int, int], window: tuple[int, int]
) -> None:
    kernel_size, stride = window
    layer = conv2d_transpose(
        3, 5, kernel_size, stride=stride, kernel_initializer=glorot_uniform_
    ).double()
    images = random_images(*size)
    kernel = layer.weight.detach().permute(2, 3, 1, 0).numpy()
    expected = tf.to_torch_layout(tf.conv2d_transpose(images, kernel, stride))
    assert expected.shape == (2, 5, size[0] * stride, size[1] * stride)
    np.testing.assert_allclose(layer(as_torch(images)).detach(), expected, atol=1e-12)


def test_a_transposed_convolution_with_gaps_is_refused() -> None:
    with pytest.raises(ArgumentError, match="must be 3 \\(stride\\) or more, got 2"):
        conv2d_transpose(1, 1, 2, stride=3, kernel_initializer=ones)


@pytest.mark.parametrize(
    ("seed", "size", "new_size", "first", "step"), [(70, 32, 224, 3, 7), (71, 224, 299, 0, 13)]
)
def test_images_are_resized_as_by_the_original(
    seed: int, size: int, new_size: int, first: int, step: int, shared_dir: Path
) -> None:
    with np.load(shared_dir / "reference" / "data_resize.npz") as archive:
        recorded = {name: archive[name] for name in archive.files if f"r{new_size}" in name}
    every, corner = (tf.to_torch_layout(recorded[name]) for name in sorted(recorded, reverse=True))
    images = np.random.RandomState(seed).standard_normal((1, size, size, 3)).astype(np.float32)
    resized = ResizeBilinear(new_size)(as_torch(images))
    assert resized.shape == (1, 3, new_size, new_size)
    np.testing.assert_allclose(resized[..., first::step, first::step], every, atol=1e-6)
    np.testing.assert_allclose(resized[..., -20:, -20:], corner, atol=1e-6)


def test_the_last_pixels_of_a_resized_image_repeat_the_edge() -> None:
    resized = ResizeBilinear(224)(torch.rand(1, 3, 32, 32))
    assert torch.equal(resized[..., -7:, :], resized[..., -1:, :].expand(1, 3, 7, 224))
    assert torch.equal(resized[..., -7:], resized[..., -1:].expand(1, 3, 224, 7))


def test_images_of_the_right_size_are_not_resized() -> None:
    images = torch.rand(2, 3, 224, 224)
    assert ResizeBilinear(224)(images) is images


def test_biases_start_at_the_given_value() -> None:
    layers = [
        dense(2, 3, kernel_initializer=ones, bias=0.05),
        conv2d(2, 3, 3, stride=2, kernel_initializer=ones, bias=0.05),
        conv2d_transpose(2, 3, 3, kernel_initializer=ones, bias=0.05),
    ]
    for layer in layers:
        assert layer.bias.tolist() == pytest.approx([0.05] * 3)
        assert layer.weight.unique().tolist() == [1.0]


def test_a_convolution_may_have_no_bias() -> None:
    for stride in (1, 2):
        layer = conv2d(1, 1, 3, stride=stride, kernel_initializer=ones, bias=None)
        assert layer.bias is None
        assert layer(torch.ones(1, 1, 3, 3)).max() == (9 if stride == 1 else 4)
