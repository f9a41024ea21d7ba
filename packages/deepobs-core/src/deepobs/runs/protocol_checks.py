"""What a stranger's problem or data set must keep to, checked where a run would stumble over it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepobs.checks import shown
from deepobs.errors import ProtocolError
from deepobs.plugins.provenance import described
from deepobs.runs.lengths import loaders_of

if TYPE_CHECKING:
    from deepobs.protocols import TestProblem

METHODS = (
    "set_up",
    "get_batch_loss_and_accuracy",
    "get_regularization_loss",
    "parameter_groups",
)
"""What a test problem can be asked to do."""

_LOADERS = ("train_loader", "train_eval_loader", "test_loader")


def check_can_be_set_up(problem: object, component: str) -> None:
    """Refuse a problem without the methods that are called in a run.

    Args:
        problem: The problem.
        component: What messages call it.

    Raises:
        ProtocolError: It lacks one.
    """
    for name in METHODS:
        if not callable(getattr(problem, name, None)):
            raise ProtocolError(
                f"{component} has no method {name}. A test problem must have {', '.join(METHODS)}."
            )


def check_set_up(problem: TestProblem) -> None:
    """Refuse a problem that cannot be trained.

    Args:
        problem: A problem whose `set_up` was called.

    Raises:
        ProtocolError: It lacks a model, parameters to train, or a loader.
    """
    model = getattr(problem, "model", None)
    if not isinstance(model, nn.Module):
        raise _refusal(problem, f"has the model {model!r}", "set_up must make a torch.nn.Module")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        what = f"has a model without a parameter to train, {type(model).__name__}"
        raise _refusal(problem, what, "At least one must require a gradient")
    dataset = getattr(problem, "dataset", None)
    missing = [name for name in _LOADERS if not hasattr(getattr(dataset, name, None), "__iter__")]
    if missing:
        what = f"has no {missing[0]} that can be iterated over"
        raise _refusal(dataset or problem, what, f"A data set must have {', '.join(_LOADERS)}")
    for split, loader in loaders_of(problem.dataset).items():
        if len(loader) < 1:
            raise _refusal(
                dataset,
                f"has no batch in its {split} split at batch_size={dataset.batch_size}",  # type: ignore[union-attr]
                "Choose a smaller batch_size",
            )


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
        raise _refusal(problem.dataset, what, "It must yield tuples of tensors")


def check_not_empty(problem: TestProblem, batches: list[Any]) -> None:
    """Refuse a loader that yields nothing.

    Args:
        problem: The problem that is evaluated.
        batches: Something of each batch that was there.

    Raises:
        ProtocolError: There was none.
    """
    if not batches:
        raise _refusal(problem.dataset, "has a loader that yields nothing", "It must yield batches")


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
            raise _refusal(
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
        raise _refusal(problem, f"has the accuracy {accuracy:g}", "It must be from 0 to 1")


def _refusal(component: Any, what: str, rule: str) -> ProtocolError:
    return ProtocolError(
        f"{described(component)} {what}. {rule}. `deepobs check` tells its authors more."
    )


def _short(value: Any) -> str:
    """What something is, in a few words."""
    if isinstance(value, torch.Tensor):
        return f"of shape {tuple(value.shape)} and type {value.dtype}"
    return shown(value)
