"""The variational autoencoder against an independent program in NumPy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tensorflow_layers as tf
import torch
from reference_rule import rule_weights
from torch import nn

from deepobs import config
from deepobs.pytorch.tf_weights import export_tf_weights, load_tf_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from deepobs.problems import Problem

    Array = NDArray[np.floating]
    SetUp = Callable[..., Problem]

BATCH = 4
IMAGES = np.random.RandomState(7).random_sample((BATCH, 28, 28, 1))
NOISE = np.random.RandomState(9).standard_normal((BATCH, 8))


@pytest.fixture
def weights(shared_dir: Path) -> dict[str, Array]:
    recorded = json.loads((shared_dir / "reference" / "variables.json").read_text())["mnist_vae"]
    arrays = rule_weights({name: tuple(shape) for name, shape in recorded["trainable"]})
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def leaky_relu(x: Array) -> Array:
    return np.maximum(x, 0.3 * x)


def expected_losses(weights: dict[str, Array], images: Array, noise: Array) -> Array:
    """The losses without dropout, from the text of the reference alone."""

    def layer(name: str, x: Array, stride: int = 0) -> Array:
        kernel, bias = weights[f"{name}/kernel:0"], weights[f"{name}/bias:0"]
        if "transpose" in name:
            return tf.conv2d_transpose(x, kernel, stride) + bias
        return (tf.conv2d(x, kernel, stride) if stride else x @ kernel) + bias

    x = images
    for name, stride in (("conv2d", 2), ("conv2d_1", 2), ("conv2d_2", 1)):
        x = leaky_relu(layer(f"encoder/{name}", x, stride))
    x = x.reshape(BATCH, 3136)
    mean, s = layer("encoder/dense", x), 0.5 * layer("encoder/dense_1", x)
    x = mean + noise * np.exp(s)
    x = leaky_relu(layer("decoder/dense", x))
    x = leaky_relu(layer("decoder/dense_1", x)).reshape(BATCH, 7, 7, 1)
    for number, stride in (("", 2), ("_1", 1), ("_2", 1)):
        x = np.maximum(layer(f"decoder/conv2d_transpose{number}", x, stride), 0)
    decoded = 1 / (1 + np.exp(-layer("decoder/dense_2", x.reshape(BATCH, 12544))))
    divergence = -0.5 * (1 + 2 * s - mean**2 - np.exp(2 * s)).sum(axis=1)
    return ((images.reshape(BATCH, 784) - decoded) ** 2).sum(axis=1) + divergence


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(tf.to_torch_layout(IMAGES))
    return images.to(config.get_dtype()), torch.zeros(BATCH, dtype=torch.int64)


def fix_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    def randn_like(tensor: torch.Tensor) -> torch.Tensor:
        assert tensor.shape == NOISE.shape
        return torch.from_numpy(NOISE).to(tensor)

    monkeypatch.setattr(torch, "randn_like", randn_like)


@pytest.mark.parametrize("name", ["mnist_vae", "fmnist_vae"])
def test_losses_are_those_of_the_original(
    name: str, set_up: SetUp, weights: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_noise(monkeypatch)
    problem = set_up(name)
    load_tf_weights(problem, weights)
    problem.model.eval()
    losses, accuracy = problem.get_batch_loss_and_accuracy(batch())
    assert losses.tolist() == pytest.approx(expected_losses(weights, IMAGES, NOISE), rel=1e-5)
    assert accuracy is None
    assert problem.get_regularization_loss() == 0


def test_the_gradient_is_that_of_the_losses(
    set_up: SetUp, weights: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_noise(monkeypatch)
    config.set_dtype(torch.float64)
    problem = set_up("mnist_vae")
    load_tf_weights(problem, weights)
    problem.model.eval()
    problem.get_batch_loss_and_accuracy(batch(), reduction="mean")[0].backward()
    gradients = export_tf_weights(problem, gradients=True)

    for name in ("encoder/conv2d/kernel:0", "encoder/dense_1/bias:0", "decoder/dense_1/kernel:0"):
        step = 1e-6 * np.random.RandomState(0).standard_normal(weights[name].shape)

        def mean_loss(sign: int, name: str = name, step: Array = step) -> float:
            moved = {**weights, name: weights[name] + sign * step}
            return float(expected_losses(moved, IMAGES, NOISE).mean())

        slope = (mean_loss(1) - mean_loss(-1)) / 2
        assert (gradients[name] * step).sum() == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("is_training", [True, False])
def test_noise_is_drawn_in_every_phase_from_the_global_generator(
    is_training: bool, set_up: SetUp, weights: dict[str, Array]
) -> None:
    problem = set_up("mnist_vae")
    problem.model.train(is_training)

    def losses(seed: int) -> list[float]:
        torch.manual_seed(seed)
        return problem.get_batch_loss_and_accuracy(batch())[0].tolist()

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)
    if not is_training:
        load_tf_weights(problem, weights)
        torch.manual_seed(1)
        noise = torch.randn(BATCH, 8).numpy()
        assert losses(1) == pytest.approx(expected_losses(weights, IMAGES, noise), rel=1e-5)


def test_dropout_follows_all_convolutions_but_the_last(set_up: SetUp) -> None:
    model, dropped = set_up("mnist_vae").model, []

    def note(_: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        alive = inputs[0] != 0
        dropped.append((tuple(output.shape[1:]), (output[alive] == 0).double().mean().item()))
        assert torch.allclose(output[output != 0], inputs[0][output != 0] / 0.8)

    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(note)
    model(torch.rand(64, 1, 28, 28))
    shapes = [(64, 14, 14), (64, 7, 7), (64, 7, 7), (64, 14, 14), (64, 14, 14)]
    assert [shape for shape, _ in dropped] == shapes
    assert [fraction for _, fraction in dropped] == pytest.approx([0.2] * 5, abs=0.01)
