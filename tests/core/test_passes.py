"""Passes over loaders that are not ours, which know nothing of checkpoints."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from deepobs import rng
from deepobs.runs.run_state import Pass

CPU = torch.device("cpu")


def problem() -> Any:
    """What has a loader that draws its order from torch's global generator."""
    data = TensorDataset(torch.arange(20))
    loader = DataLoader(data, batch_size=2, shuffle=True)
    return SimpleNamespace(dataset=SimpleNamespace(train_loader=loader))


def rest_of(training_pass: Pass) -> list[list[int]]:
    """The batches that are left, where training draws random numbers, too."""
    rest = []
    for (numbers,) in training_pass.batches:
        rest.append(numbers.tolist())
        torch.rand(3)
    return [*rest, torch.rand(2).tolist()]


def test_a_pass_over_a_loader_of_torch_is_resumed_where_it_was() -> None:
    torch.manual_seed(0)
    training_pass = Pass.begin(problem().dataset.train_loader, CPU)
    for _ in itertools.islice(training_pass.batches, 4):
        torch.rand(3)
        training_pass.objectives.append(0.0)
    state, random = training_pass.state_dict(problem()), rng.get_state(CPU)
    expected = rest_of(training_pass)
    assert len(expected) == 6 + 1

    torch.manual_seed(1)
    resumed = Pass.resume(problem(), CPU, state)
    rng.set_state(random, CPU)
    assert rest_of(resumed) == expected
