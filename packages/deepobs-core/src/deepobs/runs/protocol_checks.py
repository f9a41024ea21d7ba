"""What a stranger's problem or data set must keep to, checked where a run would stumble over it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepobs.checks import shown
from deepobs.plugins.provenance import protocol_error

if TYPE_CHECKING:
    from deepobs.protocols import TestProblem


def check_batch(problem: TestProblem, batch: Any) -> None:
    """Refuse what a loader yields, where no batch is.

    Args:
        problem: The problem that is evaluated.
        batch: What the loader yields.

    Raises:
        ProtocolError: It is no sequence of tensors.
    """
    is_sequence = isinstance(batch, (tuple, list)) and len(batch) > 0
    if not is_sequence or not all(isinstance(part, Tensor) for part in batch):
        what = f"has a loader that yields {_short(batch)}"
        raise protocol_error(problem.dataset, what, "It must yield tuples of tensors")


def check_not_empty(problem: TestProblem, batches: list[Any]) -> None:
    """Refuse a loader that yields nothing.

    Args:
        problem: The problem that is evaluated.
        batches: Something of each batch that was there.

    Raises:
        ProtocolError: There was none.
    """
    if not batches:
        raise protocol_error(
            problem.dataset, "has a loader that yields nothing", "It must yield batches"
        )


def check_evaluation(problem: TestProblem, loss: Any, accuracy: Any) -> None:
    """Refuse what a problem says of a batch, where it is no mean over the batch.

    Args:
        problem: The problem that is evaluated.
        loss: What it calls the mean loss.
        accuracy: What it calls the accuracy, `None` for none.

    Raises:
        ProtocolError: One of them is no scalar of floating-point numbers.
    """
    for name, value in {"loss": loss, "accuracy": accuracy}.items():
        if value is None and name == "accuracy":
            continue
        if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
            raise protocol_error(
                problem,
                f"has the {name} {_short(value)} for a batch with reduction='mean'",
                "It must be a tensor of one floating-point number, of shape ()",
            )


def check_accuracy(problem: TestProblem, accuracy: float) -> None:
    """Refuse an accuracy that is no fraction.

    Raises:
        ProtocolError: It is not from 0 to 1.
    """
    if math.isfinite(accuracy) and not -1e-6 <= accuracy <= 1 + 1e-6:
        raise protocol_error(problem, f"has the accuracy {accuracy:g}", "It must be from 0 to 1")


def _short(value: Any) -> str:
    """What something is, in a few words."""
    if isinstance(value, torch.Tensor):
        return f"of shape {tuple(value.shape)} and type {value.dtype}"
    return shown(value)
