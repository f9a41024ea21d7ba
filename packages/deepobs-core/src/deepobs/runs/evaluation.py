"""Evaluation of loss and accuracy."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepobs import rng
from deepobs.checks import shown
from deepobs.plugins.provenance import protocol_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from deepobs.protocols import Batch, TestProblem


def evaluate(problem: TestProblem, *, bare_losses: bool = False) -> dict[str, float]:
    """Measure loss and accuracy on the training, the validation and the test set.

    Args:
        problem: A problem after `set_up`.
        bare_losses: Exclude the regularizer from the losses.

    Returns:
        `train_loss`, `train_accuracy`, `valid_loss`, ..., as far as the problem has them.
    """
    loaders = {
        "train": problem.dataset.train_eval_loader,
        "valid": problem.dataset.valid_loader,
        "test": problem.dataset.test_loader,
    }
    metrics: dict[str, float] = {}
    with evaluating(problem):
        regularizer = 0.0 if bare_losses else float(problem.get_regularization_loss())
        for split, loader in loaders.items():
            if loader is None:
                continue
            loss, accuracy = mean_loss_and_accuracy(problem, loader)
            metrics[f"{split}_loss"] = loss + regularizer
            if accuracy is not None:
                # Beyond 1 by no more than rounding; an accuracy that is not finite is recorded.
                if math.isfinite(accuracy) and not -1e-6 <= accuracy <= 1 + 1e-6:
                    fault = f"has the accuracy {accuracy:g}"
                    raise protocol_error(problem, fault, "It must be from 0 to 1")
                metrics[f"{split}_accuracy"] = accuracy
    return metrics


@contextlib.contextmanager
def evaluating(problem: TestProblem) -> Iterator[None]:
    """Put the model in evaluation mode, without any effect on the training that follows.

    Args:
        problem: A problem after `set_up`.
    """
    was_training = problem.model.training
    problem.model.eval()
    try:
        # Without preserving the RNGs, an evaluation that draws numbers (a variational autoencoder
        # does) would change the dropout and data order of the next epoch, and so a run's curve
        # would depend on how often it is evaluated.
        with torch.no_grad(), rng.preserved():
            yield
    finally:
        problem.model.train(was_training)


def mean_loss_and_accuracy(
    problem: TestProblem, batches: Iterable[Batch]
) -> tuple[float, float | None]:
    """Average over the examples, or over what `batch_weight` of the problem counts.

    An accuracy that is a count of correct ones over a count of all is added up as counts: as many
    correct ones are then the same accuracy, however they are distributed over the batches.

    Args:
        problem: A problem that is being evaluated.
        batches: At least one.

    Returns:
        The loss without the regularizer; the accuracy, `None` if the problem has none.

    Raises:
        ProtocolError: The loader yields something else than batches, or the problem does not return
            scalars.
    """
    losses, accuracies, weights = [], [], []
    weigh = weight_of(problem)
    for batch in batches:
        is_sequence = isinstance(batch, (tuple, list)) and len(batch) > 0
        if not is_sequence or not all(isinstance(part, Tensor) for part in batch):
            fault = f"has a loader that yields {_summary(batch)}"
            raise protocol_error(problem.dataset, fault, "It must yield tuples of tensors")
        loss, accuracy = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
        for name, value in (("loss", loss), ("accuracy", accuracy)):
            is_scalar = isinstance(value, Tensor) and not value.ndim and value.is_floating_point()
            if not is_scalar and (name == "loss" or value is not None):
                fault = f"has the {name} {_summary(value)} for a batch with reduction='mean'"
                demand = "It must be a tensor of one floating-point number, of shape ()"
                raise protocol_error(problem, fault, demand)
        losses.append(loss)
        weights.append(weigh(batch))
        if not isinstance(weights[-1], int) or weights[-1] < 1:
            fault = f"has the batch_weight {_summary(weights[-1])}"
            raise protocol_error(problem, fault, "It must be an integer of 1 or more")
        if accuracy is not None:
            accuracies.append(accuracy)
    if not losses:
        fault = "has a loader that yields nothing"
        raise protocol_error(problem.dataset, fault, "It must yield batches")
    mean_loss = weighted_mean(_on_host(losses), weights)
    if not accuracies:
        return mean_loss, None
    return mean_loss, accuracy_of(_on_host(accuracies), weights, accuracies[0].dtype)


def weight_of(problem: TestProblem) -> Callable[[Batch], int]:
    """What counts what evaluations of a problem average over, in a batch."""
    weigh: Callable[[Batch], int] = getattr(problem, "batch_weight", _num_examples)
    return weigh


def _num_examples(batch: Batch) -> int:
    return len(batch[0]) if batch[0].ndim else 1


def accuracy_of(values: list[float], weights: list[int], dtype: torch.dtype) -> float:
    """Average accuracies as `mean_loss_and_accuracy` does.

    Args:
        values: The accuracy on each batch.
        weights: The `batch_weight` of each batch.
        dtype: The type in which they were computed.
    """
    rounding = 4 * torch.finfo(dtype).eps
    counts = []
    for value, weight in zip(values, weights, strict=True):
        count = round(value * weight) if math.isfinite(value) else 0
        # Else it is no fraction of the weight, or of too many to tell which one.
        if rounding * weight > 1 / 4 or not abs(value * weight - count) <= rounding * weight:
            return weighted_mean(values, weights)
        counts.append(count)
    return sum(counts) / sum(weights)


def _on_host(values: list[Tensor]) -> list[float]:
    found: list[float] = torch.stack(values).tolist()  # one transfer from the device
    return found


def _summary(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"of shape {tuple(value.shape)} and type {value.dtype}"
    return shown(value)


def weighted_mean(values: list[float], weights: list[int]) -> float:
    """The mean of values of which each counts as its weight says; NaN where it is undefined."""
    try:
        # A plain sum of thousands of batches would lose digits.
        total = math.fsum(value * weight for value, weight in zip(values, weights, strict=True))
    except (OverflowError, ValueError):  # such as infinities of both signs
        return math.nan
    return total / sum(weights)
