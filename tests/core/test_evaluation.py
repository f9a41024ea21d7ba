"""What evaluations average over, and how they add."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from deepobs.errors import ProtocolError
from deepobs.runs.evaluation import evaluate, mean_loss_and_accuracy

# Two batches of as many examples, padded to different lengths.
PADDED = [
    (torch.zeros(4, 5, dtype=torch.int64), torch.ones(4)),
    (torch.zeros(4, 1, dtype=torch.int64), torch.zeros(4)),
]


class Foreign:
    """A problem that derives from nothing of ours: the second part of a batch says who is right."""

    def __init__(self, batches: Any) -> None:
        self.model = nn.Linear(1, 1)
        self.dataset = SimpleNamespace(
            train_eval_loader=batches, valid_loader=None, test_loader=batches
        )

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        mean = batch[1].float().mean()
        return mean, mean

    def get_regularization_loss(self) -> torch.Tensor:
        return torch.zeros(())


def test_padded_batches_of_another_package_count_by_their_examples() -> None:
    assert mean_loss_and_accuracy(Foreign(PADDED), PADDED) == (0.5, 0.5)  # type: ignore[arg-type]
    metrics = evaluate(Foreign(PADDED))  # type: ignore[arg-type]
    assert set(metrics.values()) == {0.5}


def test_a_problem_may_count_something_else_than_examples() -> None:
    class ByTokens(Foreign):
        def batch_weight(self, batch: Any) -> int:
            return int(batch[0].numel())

    loss, accuracy = mean_loss_and_accuracy(ByTokens(PADDED), PADDED)  # type: ignore[arg-type]
    assert loss == accuracy == 20 / 24


@pytest.mark.parametrize("weight", [0, -1, 2.5, None])
def test_a_weight_that_is_none_is_refused(weight: Any) -> None:
    class Wrong(Foreign):
        def batch_weight(self, batch: Any) -> Any:
            return weight

    with pytest.raises(ProtocolError, match="batch_weight"):
        evaluate(Wrong(PADDED))  # type: ignore[arg-type]


@pytest.mark.parametrize("correct", [1, 7, 333, 1000, 1022, 1023])
def test_as_many_correct_examples_are_the_same_accuracy_in_any_batches(correct: int) -> None:
    is_correct = torch.arange(1023) < correct
    found = set()
    for size in (1, 3, 7, 50, 128, 1023):
        order = torch.randperm(1023, generator=torch.Generator().manual_seed(size))
        batches = [(part, part) for part in is_correct[order].split(size)]
        found.add(mean_loss_and_accuracy(Foreign(batches), batches)[1])  # type: ignore[arg-type]
    assert found == {correct / 1023}


def test_accuracies_that_are_no_counts_are_averaged() -> None:
    batches = [(torch.zeros(2), torch.full((2,), 0.3)), (torch.zeros(6), torch.full((6,), 0.1))]
    _, accuracy = mean_loss_and_accuracy(Foreign(batches), batches)  # type: ignore[arg-type]
    assert accuracy == pytest.approx((2 * 0.3 + 6 * 0.1) / 8, rel=1e-7)


def test_an_accuracy_that_is_not_finite_stays_so() -> None:
    batches = [(torch.zeros(2), torch.ones(2)), (torch.zeros(2), torch.full((2,), math.nan))]
    _, accuracy = mean_loss_and_accuracy(Foreign(batches), batches)  # type: ignore[arg-type]
    assert accuracy is not None
    assert math.isnan(accuracy)
