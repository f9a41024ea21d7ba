"""What a test problem says of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deepobs_testing.numbers import close, listed
from deepobs_testing.verdicts import CheckFailedError, require

if TYPE_CHECKING:
    from deepobs.protocols import Batch, TestProblem
    from deepobs_testing.problems.subject import Subject

_OF_FEW = 1e-5
"""Relative; sums of the few losses of a batch in another order differ by less."""

_REDUCTIONS = ("none", "mean", "sum")


class Evaluated(NamedTuple):
    """Losses and accuracy of a batch."""

    losses: Tensor
    accuracy: Tensor | None


def losses_are_finite_tensors(subject: Subject) -> None:
    """Before training, the losses of a batch are finite floating-point numbers."""
    for reduction, (losses, _) in evaluated(subject).items():
        require(
            losses.is_floating_point() and bool(losses.isfinite().all()),
            f'reduction="{reduction}" gives {listed(losses)} of type {losses.dtype} before any '
            "training; expected are finite floating-point numbers.",
            "Look for a logarithm or a quotient of 0, for inputs that are not scaled and for "
            "initial weights that are too large.",
        )


def losses_have_one_entry_per_example(subject: Subject) -> None:
    """`reduction="none"` gives a loss for each example, "mean" and "sum" a scalar."""
    found = evaluated(subject)
    examples = subject.batch_size
    expected = {"none": (examples,), "mean": (), "sum": ()}
    for reduction, shape in expected.items():
        shape_found = tuple(found[reduction].losses.shape)
        require(
            shape_found == shape,
            f'reduction="{reduction}" gives losses of shape {shape_found} for a batch of '
            f"{examples} examples instead of {shape}.",
            "Average over everything but the examples first, then reduce as it is asked; "
            "deepobs.problems.reduced does the second.",
        )


def losses_sum_to_the_mean(subject: Subject) -> None:
    """The mean and the sum over the losses of the examples are what the reductions give."""
    _require_sums(evaluated(subject))
    if subject.batch_size > 1:  # the last batch of an evaluation may have fewer examples
        _require_sums(_evaluate(subject, slice(subject.batch_size // 2)))


def _require_sums(found: dict[str, Evaluated]) -> None:
    each = found["none"].losses.double()
    for reduction, expected in {"mean": each.mean(), "sum": each.sum()}.items():
        reduced = found[reduction].losses
        require(
            close(reduced, expected, found["none"].losses, tolerance=_OF_FEW),
            f'reduction="{reduction}" gives {listed(reduced)}, but the {reduction} of the '
            f'{each.numel()} losses that "none" gives is {listed(expected)}.',
            "Compute the losses of the examples once and reduce them, as deepobs.problems.reduced "
            "does. Divide by the examples that there are: the last batch of an evaluation may have "
            "fewer. Terms beside the losses, such as the regulariser, belong elsewhere.",
        )


def accuracy_is_a_fraction_or_none(subject: Subject) -> None:
    """The accuracy is a 0-dim tensor from 0 to 1, whatever the reduction; or there is none."""
    found = {reduction: accuracy for reduction, (_, accuracy) in evaluated(subject).items()}
    first = found["none"]
    for reduction, accuracy in found.items():
        if accuracy is None and first is None:
            continue
        require(
            isinstance(accuracy, Tensor) and accuracy.ndim == 0,
            f'reduction="{reduction}" gives the accuracy {accuracy!r}; expected is a tensor '
            "without dimensions, or None for every reduction.",
            "Return the mean over the examples as a tensor: is_correct.mean(dtype=torch.float32).",
        )
        require(
            0 <= float(accuracy) <= 1,  # type: ignore[arg-type] # just found to be a tensor
            f'reduction="{reduction}" gives the accuracy {float(accuracy):g}; '  # type: ignore[arg-type]
            "expected is a fraction from 0 to 1.",
            "Divide the number of correct examples by the number of all, without percent.",
        )
        require(
            torch.equal(accuracy, first),  # type: ignore[arg-type]
            f'reduction="{reduction}" gives the accuracy {float(accuracy):g}, '  # type: ignore[arg-type]
            f'but "none" gives {first}.',
            "Compute the accuracy of a batch in the same way for every reduction of the losses.",
        )


@torch.no_grad()
def losses_of(problem: TestProblem, batch: Batch, seed: int = 0) -> Tensor:
    """The loss of each example of a batch, in the mode that the model is in.

    Args:
        problem: A problem that was set up.
        batch: What a loader yields.
        seed: Of torch's generator, from which noise is drawn.
    """
    torch.manual_seed(seed)
    return problem.get_batch_loss_and_accuracy(batch, reduction="none")[0]


def need_losses(subject: Subject) -> None:
    """Leave the rest of a check out where losses cannot be computed: a check of its own says so."""
    evaluated(subject)


def evaluated(subject: Subject) -> dict[str, Evaluated]:
    """What the shared problem says of one batch in evaluation, by reduction."""
    return subject.memo("losses_are_finite_tensors", lambda: _evaluate(subject))


def _evaluate(subject: Subject, rows: slice = slice(None)) -> dict[str, Evaluated]:
    problem = subject.at_start()
    problem.model.eval()
    found = {}
    with torch.no_grad():
        for reduction in _REDUCTIONS:
            batch = _part(subject.first_batch(problem), rows)
            torch.manual_seed(0)
            answer = problem.get_batch_loss_and_accuracy(batch, reduction=reduction)
            found[reduction] = _pair(answer, reduction)
    return found


def _part(batch: Batch, rows: slice) -> Batch:
    if rows == slice(None):
        return batch  # it may know the pass it belongs to, which a copy would not
    return tuple(tensor[rows] for tensor in batch)


def _pair(answer: object, reduction: str) -> Evaluated:
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Tensor):
        return Evaluated(*answer)
    raise CheckFailedError(
        f'get_batch_loss_and_accuracy(batch, reduction="{reduction}") returns a '
        f"{type(answer).__name__}: {answer!r:.100}; expected is a pair of losses, a tensor, and "
        "the accuracy.",
        "Return (losses, accuracy), with None for the accuracy where there is none.",
    )
