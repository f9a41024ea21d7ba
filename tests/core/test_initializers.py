from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from reference_rule import Reference, assert_distributed_like

from deepobs.problems.initializers import (
    Initializer,
    glorot_fan_sum,
    glorot_normal_,
    glorot_uniform_,
    truncated_normal_,
)

if TYPE_CHECKING:
    from pathlib import Path

RECORDED = {
    "conv2d/kernel:0": ("cifar10_3c3d", glorot_normal_),
    "conv2d_2/kernel:0": ("cifar10_3c3d", glorot_normal_),
    "dense/kernel:0": ("cifar10_3c3d", glorot_uniform_),
    "dense_2/kernel:0": ("cifar10_3c3d", glorot_uniform_),
    "unit_1_0/conv2d/kernel:0": ("cifar100_wrn404", glorot_uniform_),
    "unit_2_0/conv2d_1/kernel:0": ("cifar100_wrn404", glorot_uniform_),
    "embedding:0": ("tolstoi_char_rnn", glorot_uniform_),
    "rnnlm/softmax_b:0": ("tolstoi_char_rnn", glorot_uniform_),
}


def torch_shape(shape: list[int]) -> list[int]:
    if len(shape) == 1:
        return shape
    *receptive_field, inputs, outputs = shape
    return [outputs, inputs, *receptive_field]


@pytest.mark.parametrize("variable", RECORDED)
def test_glorot_values_are_distributed_as_in_the_original(variable: str, shared_dir: Path) -> None:
    name, initializer = RECORDED[variable]
    facts = Reference(shared_dir, name).facts
    shapes = {entry["name"]: entry["shape"] for entry in facts["trainable"]}
    recorded = {entry["name"]: entry for entry in facts["init"]}[variable]
    tensor = torch.empty(torch_shape(shapes[variable]))

    torch.manual_seed(0)
    initializer(tensor)

    assert_distributed_like(tensor.numpy(), recorded)


def test_a_truncated_normal_distribution_is_a_normal_one_without_its_tails() -> None:
    torch.manual_seed(0)
    values = truncated_normal_(torch.empty(200_000, dtype=torch.float64), 0.05) / 0.05
    assert values.abs().max() <= 2
    assert values.std().item() == pytest.approx(0.8796, abs=0.004)
    mass = math.erf(math.sqrt(2))
    for limit in (-1.9, -1.5, -1.0, -0.3, 0.0, 0.5, 1.2, 1.7, 1.99):
        below = (math.erf(limit / math.sqrt(2)) / mass + 1) / 2
        assert (values < limit).double().mean().item() == pytest.approx(below, abs=0.005)


def test_single_precision_does_not_leave_the_interval() -> None:
    torch.manual_seed(0)
    values = truncated_normal_(torch.empty(2_000_000), 0.03)
    assert values.abs().max() <= torch.tensor(0.06)
    assert values.abs().max() > 0.05999


@pytest.mark.parametrize(
    ("initializer", "largest"), [(glorot_normal_, 2.2737), (glorot_uniform_, 1.7321)]
)
def test_glorot_values_have_the_variance_of_glorot(
    initializer: Initializer, largest: float
) -> None:
    torch.manual_seed(0)
    values = initializer(torch.empty(64, 32, 5, 5, dtype=torch.float64))
    wanted = math.sqrt(2 / (25 * (64 + 32)))
    assert values.std().item() == pytest.approx(wanted, rel=0.01)
    assert values.abs().max().item() == pytest.approx(largest * wanted, rel=0.001)


def test_fans_may_be_those_of_a_larger_kernel() -> None:
    torch.manual_seed(0)
    part = glorot_uniform_(torch.empty(512, 128), fan_sum=256 + 512)
    assert part.abs().max().item() == pytest.approx(0.0883883, rel=1e-3)


@pytest.mark.parametrize(
    ("shape", "fan_sum"),
    [((10, 784), 794), ((64, 3, 5, 5), 25 * 67), ((64, 3, 1, 7), 469), ((83,), 166)],
)
def test_fans_are_counted_as_in_tensorflow(shape: tuple[int, ...], fan_sum: int) -> None:
    assert glorot_fan_sum(torch.empty(shape)) == fan_sum


def test_as_many_random_numbers_are_drawn_as_there_are_values() -> None:
    torch.manual_seed(0)
    truncated_normal_(torch.empty(1000), 1.0)
    after = torch.rand(())
    torch.manual_seed(0)
    torch.rand(1000)
    assert torch.equal(after, torch.rand(()))


def test_a_parameter_is_filled_without_a_gradient() -> None:
    parameter = torch.nn.Parameter(torch.zeros(5, 5))
    for initializer in (glorot_uniform_, glorot_normal_):
        initializer(parameter)
        assert parameter.is_leaf
        assert parameter.abs().min() > 0
