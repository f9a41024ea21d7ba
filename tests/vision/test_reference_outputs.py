"""The image problems against the recorded outputs of the original."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from reference_rule import Reference

from deepobs.pytorch.tf_weights import export_tf_weights, load_tf_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.problems import Problem

    SetUp = Callable[..., Problem]

RECORDED = ["mnist_logreg", "mnist_mlp", "fmnist_2c2d"]


def recorded_batch(reference: Reference) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(reference.images()).permute(0, 3, 1, 2)
    return images.contiguous(), torch.from_numpy(reference.labels(num_classes=10))


@pytest.mark.parametrize("name", RECORDED)
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
    assert reference.labels(num_classes=10).tolist() == reference.facts["labels"]


@pytest.mark.parametrize("phase", ["eval", "train"])
@pytest.mark.parametrize("name", RECORDED)
def test_losses_and_gradients_are_those_of_the_original(
    name: str, phase: str, set_up: SetUp, shared_dir: Path
) -> None:
    reference, problem = Reference(shared_dir, name), set_up(name)
    recorded = reference.facts[phase]
    load_tf_weights(problem, reference.trainable_weights())
    problem.model.train(phase == "train")

    losses, accuracy = problem.get_batch_loss_and_accuracy(recorded_batch(reference))
    regularizer = problem.get_regularization_loss()
    objective = losses.mean() + regularizer
    objective.backward()

    assert losses.tolist() == pytest.approx(recorded["losses"], rel=1e-5)
    assert regularizer.item() == recorded["regularizer"]
    assert objective.item() == pytest.approx(recorded["mean_loss_plus_reg"], rel=1e-5)
    assert accuracy == recorded["accuracy"]
    gradients = export_tf_weights(problem, gradients=True)
    assert list(gradients) == [entry["name"] for entry in recorded["grads"]]
    for entry in recorded["grads"]:
        gradient = gradients[entry["name"]]
        assert np.linalg.norm(gradient.astype(np.float64)) == pytest.approx(entry["norm"], rel=1e-5)
        scale = entry["norm"] / np.sqrt(gradient.size)
        assert gradient.ravel()[:4] == pytest.approx(entry["first4"], rel=1e-4, abs=1e-4 * scale)


@pytest.mark.parametrize("name", RECORDED)
def test_logits_are_those_of_the_original(name: str, set_up: SetUp, shared_dir: Path) -> None:
    reference, problem = Reference(shared_dir, name), set_up(name)
    load_tf_weights(problem, reference.trainable_weights())
    images, labels = recorded_batch(reference)
    with torch.no_grad():
        logits = problem.model(images)
        losses, _ = problem.get_batch_loss_and_accuracy((images, labels))
    np.testing.assert_allclose(logits, reference.arrays["test_logits_first32"], atol=1e-5)
    np.testing.assert_allclose(losses, reference.arrays["test_losses"], rtol=1e-5)
    assert logits.argmax(dim=1).tolist() == reference.facts["eval"]["argmax"]
