"""Checks of gradients, the regularizer and parameter groups of test problems."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepobs_testing._problem_losses import evaluation_losses, need_losses
from deepobs_testing._problem_subject import WEIGHT_DECAY, tensors_of
from deepobs_testing._process import default_to_double
from deepobs_testing._report import CheckSkippedError, require, skip
from deepobs_testing._tensors import close, in_double, listed, same

if TYPE_CHECKING:
    from deepobs.protocols import Batch, TestProblem
    from deepobs_testing._problem_subject import Subject

# Relative to the parameters. A step across a kink of ReLU or max-pooling is followed by shorter
# ones, which cross fewer; float64 rounds by less than 1e-7 even at the shortest.
_STEPS = (1e-6, 1e-7, 1e-8)

# Relative to the typical derivative. Of a hundred tensors that contribute alike, one that lacks its
# gradient makes a difference of 0.1.
_AGREEMENT = 5e-3

# Relative to the parameters. At their start, biases of 0 may lie on a kink of ReLU exactly.
_AWAY = 0.01

_FORMULA = "0.5 * weight_decay * sum(w ** 2)"


def every_parameter_has_a_finite_gradient(subject: Subject) -> None:
    """After a backward pass, every trained parameter has a gradient, and some are not 0."""
    need_losses(subject)
    problem = subject.at_start()
    problem.model.train()
    batch = next(iter(problem.dataset.train_loader))
    torch.manual_seed(0)
    _backward(problem.get_batch_loss_and_accuracy(batch, reduction="mean")[0])
    trained = {n: p for n, p in problem.model.named_parameters() if p.requires_grad}
    require(
        bool(trained),
        "No parameter of the model requires a gradient, so there is nothing to train.",
        "Register the parameters of the model as torch.nn.Parameter.",
    )
    without = [name for name, parameter in trained.items() if parameter.grad is None]
    require(
        not without,
        f"{_some(without)} has no gradient after a backward pass of the loss; every trained "
        "parameter must have one.",
        "Use it in the forward pass, remove it, or set requires_grad to False. detach() or "
        "no_grad() on the way cuts it off.",
    )
    # Only now: the regularizer would give a gradient to weights that the loss does not use.
    regularizer = problem.get_regularization_loss()
    if regularizer.requires_grad:
        _backward(regularizer)
    gradients = {name: p.grad for name, p in trained.items() if p.grad is not None}
    strange = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
    require(
        not strange,
        f"The gradient of {_some(strange)} is not finite before any training.",
        "Look for square roots, logarithms and norms at 0.",
    )
    require(
        any(bool(gradient.any()) for gradient in gradients.values()),
        "All gradients are 0 before any training: no optimizer could start.",
        "Start from weights that are not all 0, or look for outputs that saturate.",
    )


def gradients_agree_with_finite_differences(subject: Subject) -> None:
    """In float64, the gradient predicts how the objective changes along a random direction."""
    need_losses(subject)
    problem = subject.at_start()
    if any(parameter.is_complex() for parameter in problem.model.parameters()):
        skip("Its model has complex parameters")
    default_to_double()
    # Its parameters are restored when the next check needs it.
    problem.model.double().train()
    _move(_trained(problem), _random_direction(_trained(problem), seed=1), _AWAY)
    contradiction = _contradiction(subject, problem)
    # Training mode counts if it can: in evaluation mode, a detach() that acts in training alone
    # would go unnoticed.
    if contradiction and not _is_steady(subject, problem):
        problem.model.eval()
        contradiction = _contradiction(subject, problem)
    require(
        not contradiction,
        contradiction,
        "Look for detach(), .data, .item() or no_grad() in loss, regularizer or model, and check "
        "backward passes of your own with torch.autograd.gradcheck.",
    )


def _contradiction(subject: Subject, problem: TestProblem) -> str:
    """How gradient and finite differences differ; empty if they agree."""
    try:
        batch = in_double(subject.first_batch(problem))
        derivative, typical, direction = _derivative(problem, batch)
    except (RuntimeError, TypeError) as error:
        raise CheckSkippedError(f"It cannot be computed in float64: {error}") from error
    differences = []
    for step in _STEPS:
        up, down = (
            _moved(subject, problem, direction, sign * step).double() for sign in (1.0, -1.0)
        )
        differences.append(float(up - down) / (2 * step))
        scale = max(typical, abs(derivative), abs(differences[-1]))
        if abs(differences[-1] - derivative) <= _AGREEMENT * scale:
            return ""
    best = min(differences, key=lambda difference: abs(difference - derivative))
    return (
        f"Along a random direction the gradient of loss plus regularizer predicts a slope of "
        f"{derivative:.6g}, but finite differences give {best:.6g}; they must agree to "
        f"{_AGREEMENT:g} of {max(typical, abs(derivative)):.3g}."
    )


@torch.no_grad()
def _is_steady(subject: Subject, problem: TestProblem) -> bool:
    """Whether the objective stays the same in spite of what training mode updates.

    Spectral normalization, for one, computes with what it updates: finite differences would be
    those of several functions.
    """
    first, second = (_objective(problem, in_double(subject.first_batch(problem))) for _ in range(2))
    return same(first, second)


def _derivative(problem: TestProblem, batch: Batch) -> tuple[float, float, list[Tensor]]:
    """The derivative along a random direction, its typical size for such ones, the direction."""
    parameters = _trained(problem)
    gradients = torch.autograd.grad(_objective(problem, batch), parameters, allow_unused=True)
    direction = _random_direction(parameters, seed=0)
    terms, squares = [], []
    for along, gradient in zip(direction, gradients, strict=True):
        if gradient is not None:
            products = gradient.detach() * along
            terms.append(float(products.sum()))
            squares.append(float(products.square().sum()))
    return math.fsum(terms), math.sqrt(math.fsum(squares)), direction


def _random_direction(parameters: list[Tensor], seed: int) -> list[Tensor]:
    """A direction with the norm of the parameters, tensor by tensor, so that all contribute."""
    generator = torch.Generator().manual_seed(seed)
    direction = []
    for parameter in parameters:
        size = parameter.detach().square().mean().sqrt().clamp(min=0.1)
        # In a fixed type, since the numbers that are drawn depend on it.
        along = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
        direction.append(along.to(parameter).mul_(size))
    return direction


@torch.no_grad()
def _move(parameters: list[Tensor], direction: list[Tensor], step: float) -> None:
    for parameter, along in zip(parameters, direction, strict=True):
        parameter.add_(along, alpha=step)


@torch.no_grad()
def _moved(subject: Subject, problem: TestProblem, direction: list[Tensor], step: float) -> Tensor:
    """The objective at some distance from the parameters."""
    _move(_trained(problem), direction, step)
    objective = _objective(problem, in_double(subject.first_batch(problem)))
    _move(_trained(problem), direction, -step)
    return objective


def _trained(problem: TestProblem) -> list[Tensor]:
    return [parameter for parameter in problem.model.parameters() if parameter.requires_grad]


def _objective(problem: TestProblem, batch: Batch) -> Tensor:
    # The same noise at every point: dropout would differ by far more than a short step changes.
    torch.manual_seed(0)
    losses, _ = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
    return losses + problem.get_regularization_loss()


def _backward(objective: Tensor) -> None:
    objective.backward()  # type: ignore[no-untyped-call]


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def the_regularizer_is_a_scalar(subject: Subject) -> None:
    """It is finite and not negative, and 0 if the description has no weight decay."""
    regularizer = subject.at_start().get_regularization_loss()
    require(
        isinstance(regularizer, Tensor) and regularizer.ndim == 0,
        f"get_regularization_loss returns {regularizer!r:.100}; expected is a tensor without "
        "dimensions.",
        "Without a regularizer, return torch.zeros(()) on the device of the problem.",
    )
    regularizer = regularizer.detach()
    require(
        regularizer.is_floating_point()
        and bool(regularizer.isfinite())
        and float(regularizer) >= 0,
        f"get_regularization_loss returns {regularizer}; expected is a finite floating-point "
        "number, 0 or more.",
        f"Compute {_FORMULA} over the regularized parameters.",
    )
    has_none = subject.spec is not None and not subject.spec.weight_decay
    require(
        not (has_none and float(regularizer)),
        f"The description has no weight_decay, but the regularizer is {listed(regularizer)} "
        "instead of 0.",
        "State the default weight_decay in the description, or use it in the constructor.",
    )


def weight_decay_sets_the_regularizer(subject: Subject) -> None:
    """With a weight decay, the regularizer is half of it times the squared regularized weights."""
    problem = _decaying(subject)
    weights = [
        parameter
        for group in _groups(problem)
        if group.get("weight_decay") != 0
        for parameter in group["params"]
    ]
    # Magnitudes first: double() would drop the imaginary part of complex weights.
    squares = sum((w.detach().abs().double().square().sum() for w in weights), torch.tensor(0.0))
    found, expected = problem.get_regularization_loss(), 0.5 * WEIGHT_DECAY * squares
    require(
        close(found, expected, *weights),
        f"With weight_decay={WEIGHT_DECAY}, the regularizer is {listed(found)}, but {_FORMULA} "
        f"over the {len(weights)} tensors that parameter_groups() does not give weight_decay 0 is "
        f"{listed(expected)}.",
        "Let both cover the same tensors, and use the weight_decay that the constructor is given; "
        "refuse one with deepobs.errors.ArgumentError if there is nothing to regularize.",
    )
    _require_gradient(found, [weight for weight in weights if weight.requires_grad])


def _decaying(subject: Subject) -> TestProblem:
    """The problem with a weight decay; skips the check if it refuses any."""
    problem = subject.other
    if subject.refusal_of_weight_decay:
        skip(f"It refuses weight_decay={WEIGHT_DECAY}: {subject.refusal_of_weight_decay}")
    return problem


def _require_gradient(regularizer: Tensor, weights: list[Tensor]) -> None:
    """Fail the check unless the gradient is the weight decay times the weights."""
    remedy = "Compute it in every call, without detach(), .data or no_grad()."
    require(
        regularizer.requires_grad or not weights,
        f"With weight_decay={WEIGHT_DECAY}, the regularizer has no gradient: no step would shrink "
        "a weight.",
        remedy,
    )
    gradients = torch.autograd.grad(regularizer, weights, allow_unused=True) if weights else ()
    for weight, gradient in zip(weights, gradients, strict=True):
        require(
            gradient is not None and close(gradient, WEIGHT_DECAY * weight.detach()),
            f"With weight_decay={WEIGHT_DECAY}, the gradient of the regularizer for a tensor of "
            f"shape {tuple(weight.shape)} is not weight_decay * w.",
            remedy,
        )


def losses_exclude_the_regularizer(subject: Subject) -> None:
    """With the same weights, a batch has the same losses whatever the weight decay is."""
    need_losses(subject)
    decaying, problem = _decaying(subject), subject.at_start()
    theirs, ours = tensors_of(decaying.model), tensors_of(problem.model)
    for name in ours.keys() & theirs.keys():
        ours[name].data.copy_(theirs[name].data)
    batch = subject.first_batch(problem)
    was_training = decaying.model.training
    found = evaluation_losses(decaying, batch)
    decaying.model.train(was_training)
    expected = evaluation_losses(problem, subject.first_batch(problem))
    require(
        close(found, expected),
        f"With weight_decay={WEIGHT_DECAY}, a batch has the losses {listed(found)}, but "
        f"{listed(expected)} with the same weights and the default weight decay.",
        "Leave the regularizer out of the losses: get_regularization_loss returns it, and training "
        "adds both.",
    )


def parameter_groups_cover_every_parameter_once(subject: Subject) -> None:
    """Optimizers can be given `parameter_groups()` in place of `model.parameters()`."""
    problem = subject.at_start()
    groups = _groups(problem)
    # By identity, since == compares the entries of tensors.
    names = {id(parameter): name for name, parameter in problem.model.named_parameters()}
    in_groups = [id(parameter) for group in groups for parameter in group["params"]]
    foreign = sum(1 for number in in_groups if number not in names)
    require(
        not foreign,
        f"parameter_groups() lists {foreign} tensors that are no parameters of the model.",
        "List the parameters themselves, not copies of them.",
    )
    trained = {name for name, p in problem.model.named_parameters() if p.requires_grad}
    missing = [n for number, n in names.items() if number not in in_groups and n in trained]
    twice = [name for number, name in names.items() if in_groups.count(number) > 1]
    require(
        not (missing or twice),
        f"parameter_groups() lacks {', '.join(missing) or 'nothing'} and lists "
        f"{', '.join(twice) or 'nothing'} more than once; expected is each parameter once.",
        "Divide model.parameters() by identity: regularized parameters, and the others.",
    )
    torch.optim.SGD(groups, lr=0.1)


def _groups(problem: TestProblem) -> list[dict[str, Any]]:
    """The parameter groups, each with a list of parameters."""
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
