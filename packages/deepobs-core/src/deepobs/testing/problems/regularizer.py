"""The regulariser of a test problem, and which parameters it covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepobs.testing.numbers import close, listed
from deepobs.testing.problems.subject import WEIGHT_DECAY
from deepobs.testing.verdicts import require, skip

if TYPE_CHECKING:
    from deepobs.testing.problems.subject import Subject

_FORMULA = "0.5 * weight_decay * sum(w ** 2)"


def the_regulariser_is_a_scalar(subject: Subject) -> None:
    """It is a finite number of 0 or more, and 0 where the description has no weight decay."""
    regularizer = subject.at_start().get_regularization_loss()
    require(
        isinstance(regularizer, Tensor) and regularizer.ndim == 0,
        f"get_regularization_loss returns {regularizer!r:.100}; expected is a tensor without "
        "dimensions.",
        "Return torch.zeros(()) on the device of the problem where there is no regulariser.",
    )
    regularizer = regularizer.detach()
    require(
        bool(regularizer.isfinite()) and float(regularizer) >= 0,
        f"get_regularization_loss returns {listed(regularizer)}; expected is a finite number, 0 or "
        "more.",
        f"Compute {_FORMULA} over the regularised parameters.",
    )
    has_none = subject.spec is not None and not subject.spec.weight_decay
    require(
        not (has_none and float(regularizer)),
        f"The description has no weight_decay, but the regulariser is {listed(regularizer)} "
        "instead of 0.",
        "State the default weight_decay in the description, or use it in the constructor.",
    )


def weight_decay_sets_the_regulariser(subject: Subject) -> None:
    """With a weight decay, the regulariser is half of it times the squared regularised weights."""
    problem = subject.other
    if subject.refusal_of_weight_decay:
        skip(f"It refuses weight_decay={WEIGHT_DECAY}: {subject.refusal_of_weight_decay}")
    groups = problem.parameter_groups()
    weights = [
        parameter
        for group in groups
        if group.get("weight_decay") != 0
        for parameter in group["params"]
    ]
    squares = sum((w.detach().double().square().sum() for w in weights), torch.zeros(()).double())
    found, expected = problem.get_regularization_loss(), 0.5 * WEIGHT_DECAY * squares
    require(
        close(found.double(), expected),
        f"With weight_decay={WEIGHT_DECAY}, the regulariser is {listed(found)}, but {_FORMULA} "
        f"over the {len(weights)} tensors that parameter_groups() does not give weight_decay 0 is "
        f"{listed(expected)}.",
        "Let both cover the same tensors, and use the weight_decay that the constructor is given; "
        "refuse one with deepobs.errors.ArgumentError if there is nothing to regularise.",
    )


def parameter_groups_cover_every_parameter_once(subject: Subject) -> None:
    """Optimizers can be given `parameter_groups()` in place of `model.parameters()`."""
    problem = subject.at_start()
    groups = problem.parameter_groups()
    names = {id(parameter): name for name, parameter in problem.model.named_parameters()}
    listed_ids = [id(parameter) for group in groups for parameter in group["params"]]
    foreign = sum(1 for number in listed_ids if number not in names)
    require(
        not foreign,
        f"parameter_groups() lists {foreign} tensors that are no parameters of the model.",
        "List the parameters themselves, not copies of them.",
    )
    missing = [name for number, name in names.items() if number not in listed_ids]
    twice = [name for number, name in names.items() if listed_ids.count(number) > 1]
    require(
        not (missing or twice),
        f"parameter_groups() leaves out {', '.join(missing) or 'nothing'} and lists "
        f"{', '.join(twice) or 'nothing'} more than once; expected is each parameter once.",
        "Divide model.parameters() by identity: those that the regulariser covers, and the others.",
    )
    torch.optim.SGD(groups, lr=0.1)
