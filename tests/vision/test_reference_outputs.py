"""The image problems against the recorded outputs of the original."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from reference_rule import Reference

from deepobs.plugins import registry
from deepobs.problems.tf_variables import tf_variables
from deepobs.pytorch.tf_weights import export_tf_weights, load_tf_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.problems import Problem

    SetUp = Callable[..., Problem]

GRADIENT_TOLERANCES = {
    "mnist_logreg": 1e-5,
    "mnist_mlp": 1e-5,
    "fmnist_2c2d": 1e-5,
    "cifar10_3c3d": 1e-5,
    "cifar100_wrn404": 2e-3,
    "cifar10_vgg16": 5e-3,  # ties in single precision
}
"""How close the norms of gradients must come to the recorded ones, relative to them."""

RECORDED = list(GRADIENT_TOLERANCES)
QUICK = [name for name in RECORDED if "vgg" not in name]


def recorded_batch(reference: Reference, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(reference.images()).permute(0, 3, 1, 2)
    return images.contiguous(), torch.from_numpy(reference.labels(num_classes))


@pytest.mark.parametrize("name", QUICK)
def test_the_rule_gives_the_weights_and_the_batch_of_the_record(
    name: str, shared_dir: Path
) -> None:
    reference = Reference(shared_dir, name)
    weights = reference.trainable_weights()
    for entry in reference.facts["trainable"]:
        weight = weights[entry["name"]]
        assert weight.sum(dtype=np.float64) == pytest.approx(entry["det_sum"], abs=1e-3)
        assert np.linalg.norm(weight.astype(np.float64)) == pytest.approx(
            entry["det_norm"], rel=1e-5
        )
        assert weight.ravel()[:3] == pytest.approx(entry["det_first"], rel=1e-6)
    check = reference.facts["input_check"]
    assert reference.images().sum() == pytest.approx(check["x_sum"])
    assert reference.images().ravel()[:5] == pytest.approx(check["x_first5"])
    num_classes = 100 if name.startswith("cifar100") else 10
    assert reference.labels(num_classes).tolist() == reference.facts["labels"]


@pytest.mark.parametrize("phase", ["eval", "train"])
@pytest.mark.parametrize("name", RECORDED)
def test_losses_and_gradients_are_those_of_the_original(
    name: str, phase: str, set_up: SetUp, shared_dir: Path
) -> None:
    reference = Reference(shared_dir, name)
    recorded = reference.facts[phase]
    if recorded is None:
        pytest.skip(f"the {phase} phase of {name} is random and was not recorded")
    problem = set_up(name)
    load_tf_weights(problem, reference.weights())
    problem.model.train(phase == "train")

    batch = recorded_batch(reference, problem.dataset.num_classes)
    losses, accuracy = problem.get_batch_loss_and_accuracy(batch)
    regularizer = problem.get_regularization_loss()
    objective = losses.mean() + regularizer
    objective.backward()

    assert losses.tolist() == pytest.approx(recorded["losses"], rel=1e-5)
    assert regularizer.item() == pytest.approx(recorded["regularizer"], rel=1e-6)
    assert objective.item() == pytest.approx(recorded["mean_loss_plus_reg"], rel=1e-5)
    assert accuracy == recorded["accuracy"]
    gradients = export_tf_weights(problem, gradients=True)
    assert list(gradients) == [entry["name"] for entry in recorded["grads"]]
    tolerance = GRADIENT_TOLERANCES[name]
    for entry in recorded["grads"]:
        gradient = gradients[entry["name"]]
        assert np.linalg.norm(gradient.astype(np.float64)) == pytest.approx(
            entry["norm"], rel=tolerance
        )
        scale = entry["norm"] / np.sqrt(gradient.size)
        assert gradient.ravel()[:4] == pytest.approx(
            entry["first4"], rel=10 * tolerance, abs=10 * tolerance * scale
        )


@pytest.mark.parametrize("name", QUICK)
def test_logits_are_those_of_the_original(name: str, set_up: SetUp, shared_dir: Path) -> None:
    reference, problem = Reference(shared_dir, name), set_up(name)
    load_tf_weights(problem, reference.weights())
    problem.model.eval()
    images, labels = recorded_batch(reference, problem.dataset.num_classes)
    with torch.no_grad():
        logits = problem.model(images)
        losses, _ = problem.get_batch_loss_and_accuracy((images, labels))
    recorded = reference.arrays["test_logits_first32"]
    scale = np.abs(recorded).max()
    np.testing.assert_allclose(logits[:, :32], recorded, atol=1e-5 * max(scale, 1))
    np.testing.assert_allclose(losses, reference.arrays["test_losses"], rtol=1e-5)
    assert logits.argmax(dim=1).tolist() == reference.facts["eval"]["argmax"]


def test_the_regularised_tensors_are_those_of_the_original(
    on_meta: Callable[[str], Problem], shared_dir: Path
) -> None:
    recorded = json.loads((shared_dir / "reference" / "variables.json").read_text())
    for name in (name for name in registry().problems.names() if name in recorded):
        problem = on_meta(name)
        covered = {id(parameter) for parameter in problem.regularized_parameters()}
        found = [
            variable.name
            for variable in tf_variables(problem.model)
            if any(id(tensor) in covered for tensor in variable.tensors)
        ]
        if problem.weight_decay:
            assert found == recorded[name]["regularised"], name


def test_moving_statistics_after_a_step_are_those_of_the_original(
    set_up: SetUp, shared_dir: Path
) -> None:
    reference, problem = Reference(shared_dir, "cifar100_wrn404"), set_up("cifar100_wrn404")
    load_tf_weights(problem, reference.weights())
    problem.model.train()
    with torch.no_grad():
        problem.model(recorded_batch(reference, num_classes=100)[0])
    after = export_tf_weights(problem)
    for entry in reference.facts["moving_after_one_train_forward"]:
        statistic = after[entry["name"]]
        assert np.linalg.norm(statistic) == pytest.approx(entry["norm"], rel=1e-5)
        assert statistic.ravel()[:4] == pytest.approx(entry["first4"], rel=1e-4, abs=1e-6)

    problem.model.eval()
    with torch.no_grad():
        problem.model(torch.rand(2, 3, 32, 32))
    assert all(
        np.array_equal(array, after[name]) for name, array in export_tf_weights(problem).items()
    )
