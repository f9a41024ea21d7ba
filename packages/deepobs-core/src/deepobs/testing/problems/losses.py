"""What a test problem says of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepobs.testing.numbers import close, listed
from deepobs.testing.verdicts import require

if TYPE_CHECKING:
    from deepobs.testing.problems.subject import Subject

_REDUCTIONS = ("none", "mean", "sum")


def losses_have_one_entry_per_example(subject: Subject) -> None:
    """`reduction="none"` gives a loss for each example, "mean" and "sum" a scalar."""
    examples, losses = _losses(subject)
    expected = {"none": (examples,), "mean": (), "sum": ()}
    for reduction, shape in expected.items():
        found = tuple(losses[reduction].shape)
        require(
            found == shape,
            f'reduction="{reduction}" gives losses of shape {found} for a batch of {examples} '
            f"examples instead of {shape}.",
            "Average over everything but the examples first, then reduce as it is asked; "
            "deepobs.problems.reduced does the second.",
        )


def losses_sum_to_the_mean(subject: Subject) -> None:
    """The mean and the sum over the losses of the examples are what the reductions give."""
    examples, losses = _losses(subject)
    each = losses["none"].double()
    for reduction, expected in {"mean": each.mean(), "sum": each.sum()}.items():
        found = losses[reduction].double()
        require(
            close(found, expected),
            f'reduction="{reduction}" gives {listed(found)}, but the {reduction} of the {examples} '
            f'losses that "none" gives is {listed(expected)}.',
            "Compute the losses of the examples once and reduce them, as deepobs.problems.reduced "
            "does. Terms beside the losses, such as the regulariser, belong elsewhere.",
        )


def _losses(subject: Subject) -> tuple[int, dict[str, Tensor]]:
    """The number of examples in a batch, and its losses in evaluation by reduction."""

    def evaluate() -> tuple[int, dict[str, Tensor]]:
        problem = subject.at_start()
        problem.model.eval()
        losses = {}
        with torch.no_grad():
            for reduction in _REDUCTIONS:
                batch = subject.first_batch(problem)
                torch.manual_seed(0)
                losses[reduction], _ = problem.get_batch_loss_and_accuracy(
                    batch, reduction=reduction
                )
        return len(batch[0]), losses

    return subject.memo("losses_are_finite", evaluate)
