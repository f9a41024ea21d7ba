"""The start of our models against that of the original's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from reference_rule import Reference, assert_distributed_like

from deepobs.pytorch.tf_weights import export_tf_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.problems import Problem

    SetUp = Callable[..., Problem]


@pytest.mark.parametrize("name", ["mnist_logreg", "mnist_mlp", "fmnist_2c2d"])
def test_weights_start_distributed_as_in_the_original(
    name: str, set_up: SetUp, shared_dir: Path
) -> None:
    torch.manual_seed(0)
    weights = export_tf_weights(set_up(name))
    recorded = Reference(shared_dir, name).facts["init"]
    assert list(weights) == [entry["name"] for entry in recorded]
    for entry in recorded:
        assert_distributed_like(weights[entry["name"]], entry)


@pytest.mark.parametrize(
    ("name", "scale", "bias"), [("digits_mlp", 0.03, 0.0), ("digits_2c2d", 0.05, 0.05)]
)
def test_kernels_are_cut_at_two_standard_deviations(
    name: str, scale: float, bias: float, set_up: SetUp
) -> None:
    for variable, array in export_tf_weights(set_up(name)).items():
        if variable.endswith("kernel:0"):
            assert abs(array).max() == pytest.approx(2 * scale, rel=0.05)
            assert abs(array).max() <= 2 * scale * (1 + 1e-6)
            assert array.std() == pytest.approx(0.8796 * scale, rel=0.1)
        else:
            assert array.min() == array.max() == pytest.approx(bias)


def test_the_autoencoder_starts_with_glorot_uniform_kernels_and_no_biases(set_up: SetUp) -> None:
    for variable, array in export_tf_weights(set_up("mnist_vae")).items():
        if variable.endswith("bias:0"):
            assert not array.any()
            continue
        *receptive_field, first, second = array.shape
        bound = math.sqrt(6 / (math.prod(receptive_field) * (first + second)))
        assert abs(array).max() <= bound * (1 + 1e-6)
        assert abs(array).max() == pytest.approx(bound, rel=0.05)
        assert array.std() == pytest.approx(bound / math.sqrt(3), rel=0.15)
