"""Gradients of the objective: the mean loss of a batch plus the regulariser."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deepobs import config
from deepobs_testing.numbers import same
from deepobs_testing.problems.losses import need_losses
from deepobs_testing.verdicts import CheckSkippedError, require, skip

if TYPE_CHECKING:
    from deepobs.protocols import Batch, TestProblem
    from deepobs_testing.problems.subject import Subject

_STEPS = (1e-6, 1e-7, 1e-8)
"""In parts of the parameters. A step that crosses the kinks of ReLU or max-pooling is followed by
shorter ones, which cross fewer; rounding in float64 costs less than 1e-7 even at the shortest."""

_AGREEMENT = 5e-3
"""In parts of the derivative's typical size. Of a hundred tensors that contribute alike, one that
lacks its gradient misses by 0.1."""

_AWAY = 0.01
"""In parts of the parameters. Where they start, biases of 0 may lie on a kink of ReLU exactly."""


def every_parameter_has_a_finite_gradient(subject: Subject) -> None:
    """After a backward pass, every trained parameter has a gradient, and some are not 0."""
    need_losses(subject)
    problem = subject.at_start()
    problem.model.train()
    batch = next(iter(problem.dataset.train_loader))
    torch.manual_seed(0)
    _backward(problem.get_batch_loss_and_accuracy(batch, reduction="mean")[0])
    trained = [(n, p) for n, p in problem.model.named_parameters() if p.requires_grad]
    require(
        bool(trained),
        "No parameter of the model requires a gradient; there is nothing to train.",
        "Register the parameters of the model as torch.nn.Parameter.",
    )
    without = [name for name, parameter in trained if parameter.grad is None]
    require(
        not without,
        f"{_some(without)} has no gradient after a backward pass of the loss; every trained "
        "parameter must have one.",
        "Use it in the forward pass, remove it, or set requires_grad to False. A detach() or a "
        "no_grad() on the way cuts it off.",
    )
    regularizer = problem.get_regularization_loss()
    if regularizer.requires_grad:
        _backward(regularizer)
    strange = [name for name, p in trained if p.grad is not None and not p.grad.isfinite().all()]
    require(
        not strange,
        f"The gradient of {_some(strange)} is not finite before any training.",
        "Look for square roots, logarithms and norms at 0.",
    )
    require(
        any(bool(p.grad.any()) for _, p in trained if p.grad is not None),
        "All gradients are 0 before any training: no optimizer could start.",
        "Start from weights that are not all 0, or look for outputs that saturate.",
    )


def gradients_agree_with_finite_differences(subject: Subject) -> None:
    """In float64, the gradient predicts how the objective changes along a random direction."""
    need_losses(subject)
    problem = subject.at_start()
    if any(parameter.is_complex() for parameter in problem.model.parameters()):
        skip("Its model has complex parameters")
    # Of this type is what it makes while it computes, too; the settings are put back by and by.
    torch.set_default_dtype(torch.float64)
    config.set_dtype(torch.float64)
    problem.model.double().train()
    _move(_trained(problem), _random_direction(_trained(problem), seed=1), _AWAY)
    contradiction = _contradiction(subject, problem)
    if contradiction and not _is_steady(subject, problem):
        problem.model.eval()
        contradiction = _contradiction(subject, problem)
    require(
        not contradiction,
        contradiction,
        "Look for detach(), .data, .item() or no_grad() in loss, regulariser or model, and check "
        "backward passes of your own with torch.autograd.gradcheck.",
    )


def _contradiction(subject: Subject, problem: TestProblem) -> str:
    """In what gradient and finite differences differ, empty where they agree."""
    try:
        batch = _in_double(subject.first_batch(problem))
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
        f"Along a random direction the gradient of loss plus regulariser predicts a slope of "
        f"{derivative:.6g}, but finite differences give {best:.6g}; they must agree to "
        f"{_AGREEMENT:g} of {max(typical, abs(derivative)):.3g}."
    )


@torch.no_grad()
def _is_steady(subject: Subject, problem: TestProblem) -> bool:
    """Whether what training mode updates leaves the objective alone.

    Spectral normalisation, for one, computes with what it updates: finite differences would be
    those of several functions.
    """
    first, second = (
        _objective(problem, _in_double(subject.first_batch(problem))) for _ in range(2)
    )
    return same(first, second)


class _Slope(NamedTuple):
    derivative: float
    typical: float
    direction: list[Tensor]


def _derivative(problem: TestProblem, batch: Batch) -> _Slope:
    """The derivative along a random direction, and its typical size over such directions."""
    parameters = _trained(problem)
    gradients = torch.autograd.grad(_objective(problem, batch), parameters, allow_unused=True)
    direction = _random_direction(parameters, seed=0)
    terms, squares = [], []
    for along, gradient in zip(direction, gradients, strict=True):
        if gradient is not None:
            products = gradient.detach() * along
            terms.append(float(products.sum()))
            squares.append(float(products.square().sum()))
    return _Slope(math.fsum(terms), math.sqrt(math.fsum(squares)), direction)


def _random_direction(parameters: list[Tensor], seed: int) -> list[Tensor]:
    """As long as the parameters themselves, tensor by tensor, so that none drowns."""
    generator = torch.Generator().manual_seed(seed)
    direction = []
    for parameter in parameters:
        size = parameter.detach().square().mean().sqrt().clamp(min=0.1)
        along = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
        direction.append(along.to(parameter).mul_(size))
    return direction


@torch.no_grad()
def _move(parameters: list[Tensor], direction: list[Tensor], step: float) -> None:
    for parameter, along in zip(parameters, direction, strict=True):
        parameter.add_(along, alpha=step)


def _trained(problem: TestProblem) -> list[Tensor]:
    return [parameter for parameter in problem.model.parameters() if parameter.requires_grad]


@torch.no_grad()
def _moved(subject: Subject, problem: TestProblem, direction: list[Tensor], step: float) -> Tensor:
    """The objective at some distance from where the parameters are."""
    _move(_trained(problem), direction, step)
    objective = _objective(problem, _in_double(subject.first_batch(problem)))
    _move(_trained(problem), direction, -step)
    return objective


def _objective(problem: TestProblem, batch: Batch) -> Tensor:
    torch.manual_seed(0)
    losses, _ = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
    return losses + problem.get_regularization_loss()


def _in_double(batch: Batch) -> Batch:
    if not any(tensor.is_floating_point() for tensor in batch):
        return batch  # it may know the pass it belongs to, which a copy would not
    return tuple(t.double() if t.is_floating_point() else t for t in batch)


def _backward(objective: Tensor) -> None:
    objective.backward()  # type: ignore[no-untyped-call]


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
