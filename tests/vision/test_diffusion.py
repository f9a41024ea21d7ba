"""Denoising diffusion: its network, its noise, and its losses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deepobs import config
from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.runs import run, specify
from deepobs_vision.u_net import UNet, UNetSize, waves

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from deepobs.problems import Problem

    SetUp = Callable[..., Problem]

OF_THE_PAPER = UNetSize(
    channels=128, multipliers=(1, 2, 2, 2), blocks=2, attention_sides=(16,), groups=32
)
LEVELS = 1000


@pytest.fixture
def problem(set_up: SetUp) -> Problem:
    config.set_fake_data(0.01)
    torch.manual_seed(0)
    return set_up("mnist_ddpm", batch_size=8)


def test_the_network_of_the_paper_has_its_number_of_parameters() -> None:
    with torch.device("meta"):
        network = UNet((3, 32, 32), OF_THE_PAPER)
    assert sum(p.numel() for p in network.parameters()) == 35_746_307


def test_levels_become_sines_and_cosines() -> None:
    found = waves(torch.tensor([0, 7, 999]), 16)
    frequencies = np.exp(-math.log(10000) * np.arange(8) / 7)
    angles = np.array([0, 7, 999])[:, None] * frequencies
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def reference(weights: dict[str, Tensor], images: Tensor, levels: Tensor) -> Tensor:
    """The small U-Net once more, from its description: 16, 32 and 64 channels, one block each."""

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"]
        before = kernel.shape[-1] // 2 if stride == 1 else 0
        after = kernel.shape[-1] - stride - before
        padded = F.pad(x, (before, after, before, after))
        return F.conv2d(padded, kernel, weights[f"{name}.bias"], stride)

    def dense(name: str, x: Tensor) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        parts = x.reshape(len(x), 8, -1)
        mean, variance = parts.mean(2, keepdim=True), parts.var(2, keepdim=True, correction=0)
        x = ((parts - mean) / (variance + 1e-6).sqrt()).reshape(x.shape)
        return x * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]

    def swish(x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    def unit(name: str, x: Tensor, *, attends: bool = False) -> Tensor:
        h = conv(f"{name}.first", swish(norm(f"{name}.first_norm", x)))
        h = h + dense(f"{name}.level", swish(embedded))[:, :, None, None]
        h = conv(f"{name}.second", swish(norm(f"{name}.second_norm", h)))
        has_shortcut = f"{name}.shortcut.weight" in weights
        x = h + (conv(f"{name}.shortcut", x) if has_shortcut else x)
        if not attends:
            return x
        name = f"{name}.attention"
        tokens = norm(f"{name}.norm", x).flatten(2).transpose(1, 2)
        query, key, value = dense(f"{name}.query_key_value", tokens).split(x.shape[1], dim=2)
        shares = torch.softmax(query @ key.transpose(1, 2) / query.shape[-1] ** 0.5, dim=2)
        mixed = dense(f"{name}.to_residual", shares @ value)
        return x + mixed.transpose(1, 2).reshape(x.shape)

    def double(name: str, x: Tensor) -> Tensor:
        return conv(f"{name}.convolution", F.interpolate(x, scale_factor=2, mode="nearest"))

    embedded = swish(dense("embedding.0", waves(levels, 16).double()))
    embedded = dense("embedding.2", embedded)
    a = conv("first", images)
    b = unit("down.0", a)
    c = conv("down.1.convolution", b, 2)
    d = unit("down.2", c)
    e = conv("down.3.convolution", d, 2)
    f = unit("down.4", e, attends=True)
    x = unit("middle.1", unit("middle.0", f, attends=True))
    x = unit("up.0", torch.cat([x, f], 1), attends=True)
    x = unit("up.1", torch.cat([x, e], 1), attends=True)
    x = double("up.2", x)
    x = unit("up.3", torch.cat([x, d], 1))
    x = unit("up.4", torch.cat([x, c], 1))
    x = double("up.5", x)
    x = unit("up.6", torch.cat([x, b], 1))
    x = unit("up.7", torch.cat([x, a], 1))
    return conv("last", swish(norm("norm", x)))


def test_losses_and_gradients_are_those_of_the_network_built_again(set_up: SetUp) -> None:
    config.set_fake_data(0.01)
    config.set_dtype(torch.float64)
    problem = set_up("fmnist_ddpm", batch_size=4)
    network = problem.model.predictor
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images, labels, noise, levels = next(iter(problem.dataset.test_loader))
    losses, _ = problem.get_batch_loss_and_accuracy((images, labels, noise, levels))
    losses.mean().backward()

    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, LEVELS))[levels]
    signal, scale = (
        torch.from_numpy(w)[:, None, None, None] for w in (kept**0.5, (1 - kept) ** 0.5)
    )
    weights = {n: p.detach().clone().requires_grad_() for n, p in network.named_parameters()}
    predicted = reference(weights, signal * (2 * images - 1) + scale * noise, levels)
    expected = ((predicted - noise) ** 2).mean(dim=(1, 2, 3))
    expected.mean().backward()
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=0)
    for name, parameter in network.named_parameters():
        error = torch.linalg.vector_norm(parameter.grad - weights[name].grad)
        assert error < 1e-6 * torch.linalg.vector_norm(weights[name].grad), name


def test_the_network_predicts_almost_nothing_at_the_start(problem: Problem) -> None:
    images, labels, noise, levels = next(iter(problem.dataset.test_loader))
    losses, accuracy = problem.get_batch_loss_and_accuracy((images, labels, noise, levels))
    torch.testing.assert_close(losses, noise.square().mean(dim=(1, 2, 3)), rtol=1e-3, atol=0)
    assert accuracy is None


def test_evaluation_has_the_same_noise_in_every_run_and_batch(set_up: SetUp) -> None:
    config.set_fake_data(0.01)

    def passed(seed: int, batch_size: int) -> list[Tensor]:
        torch.manual_seed(seed)
        loader = set_up("mnist_ddpm", batch_size=batch_size).dataset.test_loader
        _, _, *noise = zip(*loader, strict=True)
        return [torch.cat(parts) for parts in noise]

    for first, other in zip(passed(1, 8), passed(2, 16), strict=True):
        assert torch.equal(first, other)


def test_training_has_new_noise_in_every_pass_and_follows_the_seed(set_up: SetUp) -> None:
    config.set_fake_data(0.01)

    def passes(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        loader = set_up("mnist_ddpm", batch_size=8).dataset.train_loader
        return [torch.cat([batch[2] for batch in loader]) for _ in range(2)]

    (first, second), again, other = passes(1), passes(1), passes(2)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    assert not torch.equal(first, second)
    assert not torch.equal(first, other[0])


def test_noise_is_standard_normal_and_levels_are_uniform() -> None:
    config.set_fake_data(0.05)
    data = registry().datasets.load("fmnist")(100, device="cpu", noise_levels=10)
    for loader in (data.train_loader, data.test_loader):
        _, _, noise, levels = (torch.cat(parts) for parts in zip(*loader, strict=True))
        assert noise.mean().item() == pytest.approx(0, abs=0.01)
        assert noise.std().item() == pytest.approx(1, abs=0.01)
        counts = torch.bincount(levels, minlength=10)
        assert len(counts) == 10
        assert counts.min() > 0.6 * len(levels) / 10


def test_data_sets_have_no_noise_unless_it_is_asked_for() -> None:
    config.set_fake_data(0.01)
    data = registry().datasets.load("mnist")(8, device="cpu")
    assert len(next(iter(data.train_loader))) == len(next(iter(data.test_loader))) == 2
    with pytest.raises(ArgumentError, match="noise_levels must be"):
        registry().datasets.load("mnist")(8, device="cpu", noise_levels=-1)


def test_bfloat16_computes_about_the_same() -> None:
    config.set_fake_data(0.01)
    losses = []
    for precision in (None, "bf16"):
        options = {"batch_size": 64, "max_steps": 4, "precision": precision}
        record = run(specify("mnist_ddpm", "Adam", {"lr": 1e-3}, **options)).record
        losses.append(record.test_losses)
    np.testing.assert_allclose(*losses, rtol=0.02)
