"""Tests specific to this problem; test_conformance.py has those of all problems."""

import math

import pytest
import torch
from deepobs.pytorch.datasets import spirals
from deepobs.pytorch.runners import StandardRunner
from deepobs.pytorch.testproblems import spirals_mlp


def test_the_points_lie_in_the_unit_disc_and_every_spiral_has_its_third():
    data = spirals(batch_size=100)
    points, labels = map(torch.cat, zip(*data.test_loader, strict=True))
    assert points.shape == (1000, 2)
    assert points.norm(dim=1).max() <= 1
    assert labels.bincount().tolist() == [334, 333, 333]


def test_an_untrained_model_knows_no_more_than_chance():
    torch.manual_seed(0)
    problem = spirals_mlp(batch_size=1000)
    problem.set_up()
    loss, accuracy = problem.get_batch_loss_and_accuracy(next(iter(problem.dataset.test_loader)))
    assert loss.mean().item() == pytest.approx(math.log(3), abs=0.1)
    assert 0.2 < accuracy < 0.5


def test_adam_reaches_the_target_in_the_default_number_of_epochs():
    runner = StandardRunner(torch.optim.Adam, {"lr": {"type": float}})
    record = runner.run("spirals_mlp", lr=0.01, no_logs=True)
    assert record.num_epochs == 20
    assert record.test_accuracies[-1] > spirals_mlp.spec.target_performance
