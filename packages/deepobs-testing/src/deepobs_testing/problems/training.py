"""A few plain steps of training, as a user's loop takes them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from deepobs.protocols import Batch, TestProblem

BATCHES = 3
_LEARNING_RATE = 1e-4


def first_batches(problem: TestProblem) -> list[Batch]:
    """The first training batches of a new pass."""
    return list(itertools.islice(iter(problem.dataset.train_loader), BATCHES))


def trajectory(
    problem: TestProblem,
    steps: int = BATCHES,
    after_first: Callable[[], object] | None = None,
) -> list[float]:
    """The objective before each of a few steps.

    Args:
        problem: A problem that was just set up.
        steps: How many to take.
        after_first: What to do after the first step; `None` for nothing.
    """
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=_LEARNING_RATE)
    problem.model.train()
    losses: list[Tensor] = []
    for batch in itertools.islice(iter(problem.dataset.train_loader), steps):
        optimizer.zero_grad()
        loss, _ = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
        objective = loss + problem.get_regularization_loss()
        objective.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(objective.detach())
        if after_first is not None and len(losses) == 1:
            after_first()
    optimizer.zero_grad()
    return [float(loss) for loss in losses]
