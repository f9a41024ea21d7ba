"""The regulariser of a test problem, and which parameters it covers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepobs_testing.numbers import close, listed
from deepobs_testing.problems.losses import losses_of, need_losses
from deepobs_testing.problems.start import tensors_of
from deepobs_testing.problems.subject import WEIGHT_DECAY
from deepobs_testing.verdicts import require, skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.protocols import TestProblem
    from deepobs_testing.problems.subject import Subject

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
        regularizer.is_floating_point()
        and bool(regularizer.isfinite())
        and float(regularizer) >= 0,
        f"get_regularization_loss returns {regularizer}; expected is a finite floating-point "
        "number, 0 or more.",
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
    weights = [
        parameter
        for group in _groups(problem)
        if group.get("weight_decay") != 0
        for parameter in group["params"]
    ]
    squares = sum((w.detach().abs().double().square().sum() for w in weights), torch.tensor(0.0))
    found, expected = problem.get_regularization_loss(), 0.5 * WEIGHT_DECAY * squares
    require(
        close(found, expected, *weights),
        f"With weight_decay={WEIGHT_DECAY}, the regulariser is {listed(found)}, but {_FORMULA} "
        f"over the {len(weights)} tensors that parameter_groups() does not give weight_decay 0 is "
        f"{listed(expected)}.",
        "Let both cover the same tensors, and use the weight_decay that the constructor is given; "
        "refuse one with deepobs.errors.ArgumentError if there is nothing to regularise.",
    )
    _require_gradient(found, [weight for weight in weights if weight.requires_grad])


def _require_gradient(regularizer: Tensor, weights: list[Tensor]) -> None:
    """Let the check fail unless its gradient is the weight decay times the weights."""
    remedy = "Compute it anew in every call, without detach(), .data or no_grad()."
    require(
        regularizer.requires_grad or not weights,
        f"With weight_decay={WEIGHT_DECAY}, the regulariser has no gradient: no step would shrink "
        "a weight.",
        remedy,
    )
    gradients = torch.autograd.grad(regularizer, weights, allow_unused=True) if weights else ()
    for weight, gradient in zip(weights, gradients, strict=True):
        require(
            gradient is not None and close(gradient, WEIGHT_DECAY * weight.detach()),
            f"With weight_decay={WEIGHT_DECAY}, the gradient of the regulariser for a tensor of "
            f"shape {tuple(weight.shape)} is not weight_decay * w.",
            remedy,
        )


def losses_leave_the_regulariser_out(subject: Subject) -> None:
    """With the same weights, a batch has the same losses whatever the weight decay is."""
    need_losses(subject)
    decaying = subject.other
    if subject.refusal_of_weight_decay:
        skip(f"It refuses weight_decay={WEIGHT_DECAY}: {subject.refusal_of_weight_decay}")
    problem = subject.at_start()
    with _weights_of(problem, decaying):
        found, expected = (_losses(subject, one) for one in (decaying, problem))
    require(
        close(found, expected),
        f"With weight_decay={WEIGHT_DECAY}, a batch has the losses {listed(found)}, but "
        f"{listed(expected)} with the same weights and the default weight decay.",
        "Leave the regulariser out of the losses: get_regularization_loss returns it, and training "
        "adds both up.",
    )


@contextlib.contextmanager
def _weights_of(source: TestProblem, target: TestProblem) -> Iterator[None]:
    """Give one problem the parameters and buffers of another for a while."""
    theirs, own = tensors_of(source.model), tensors_of(target.model)
    before = {name: tensor.detach().clone() for name, tensor in own.items()}
    try:
        for name in own.keys() & theirs.keys():
            own[name].data.copy_(theirs[name].data)
        yield
    finally:
        for name, tensor in before.items():
            own[name].data.copy_(tensor)


def _losses(subject: Subject, problem: TestProblem) -> Tensor:
    was_training = problem.model.training
    problem.model.eval()
    losses = losses_of(problem, subject.first_batch(subject.problem))
    problem.model.train(was_training)
    return losses


def parameter_groups_cover_every_parameter_once(subject: Subject) -> None:
    """Optimizers can be given `parameter_groups()` in place of `model.parameters()`."""
    problem = subject.at_start()
    groups = _groups(problem)
    names = {id(parameter): name for name, parameter in problem.model.named_parameters()}
    listed_ids = [id(parameter) for group in groups for parameter in group["params"]]
    foreign = sum(1 for number in listed_ids if number not in names)
    require(
        not foreign,
        f"parameter_groups() lists {foreign} tensors that are no parameters of the model.",
        "List the parameters themselves, not copies of them.",
    )
    trained = {name for name, p in problem.model.named_parameters() if p.requires_grad}
    missing = [name for number, name in names.items() if number not in listed_ids]
    missing = [name for name in missing if name in trained]
    twice = [name for number, name in names.items() if listed_ids.count(number) > 1]
    require(
        not (missing or twice),
        f"parameter_groups() leaves out {', '.join(missing) or 'nothing'} and lists "
        f"{', '.join(twice) or 'nothing'} more than once; expected is each parameter once.",
        "Divide model.parameters() by identity: those that the regulariser covers, and the others.",
    )
    torch.optim.SGD(groups, lr=0.1)


def _groups(problem: TestProblem) -> list[dict[str, Any]]:
    """The groups of parameters, each with a list of them."""
    groups = problem.parameter_groups()
    require(
        isinstance(groups, list)
        and all(isinstance(group, dict) and "params" in group for group in groups),
        f"parameter_groups() returns {groups!r:.100}; expected is a list of dictionaries with "
        "params.",
        'Return [{"params": [...]}, {"params": [...], "weight_decay": 0.0}], as '
        "torch.optim.Optimizer takes them.",
    )
    return [{**group, "params": _listed(group["params"])} for group in groups]


def _listed(parameters: Any) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)
