"""The steps of an optimizer."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepobs.runs.tiny_problem import TinyProblem
from deepobs_testing.generators import UNUSUAL_SEED
from deepobs_testing.process import changed_settings, process_settings
from deepobs_testing.verdicts import require, skip

if TYPE_CHECKING:
    from deepobs_testing.optimizers.subject import Subject

_FEW = 3
_MANY = 30
"""Some warm up before they move."""


def steps_change_the_parameters(subject: Subject) -> None:
    """After some steps, the parameters are elsewhere."""
    training = subject.training()
    before = training.numbers()
    training.take(_MANY)
    require(
        training.numbers() != before,
        f"After {_MANY} steps with {subject.arguments[0]}, all parameters are where they were.",
        "Change the parameters in place, under torch.no_grad(): parameter.add_(...).",
    )


def it_stays_finite_on_a_small_problem(subject: Subject) -> None:
    """With its defaults, some steps on a network of a few weights give finite losses."""
    training = subject.training()
    losses = training.take(_MANY)
    is_finite = all(map(math.isfinite, [*losses, *training.numbers()]))
    require(
        is_finite,
        f"With {subject.arguments[0]}, losses or parameters are not finite within {_MANY} steps: "
        f"{losses[:1]} at first, {losses[-1:]} at last.",
        "Look for quotients of 0, such as where a gradient is 0, or choose a smaller learning rate "
        "as the default.",
    )


def the_same_seed_gives_the_same_steps(subject: Subject) -> None:
    """Built twice in one process, it takes the same steps."""
    ends = []
    for _ in range(2):
        training = subject.training()
        training.take(_FEW)
        ends.append(training.numbers())
    require(
        ends[0] == ends[1],
        f"Built twice from one seed, {_FEW} steps end at {ends[0][:2]}... and {ends[1][:2]}...",
        "Keep what it remembers in self.state, not in the class or the module, and draw random "
        "numbers from torch's global generator.",
    )


def settings_of_the_process_are_left_alone(subject: Subject) -> None:
    """Constructor and steps leave torch's seed and what others in the process go by as it is."""
    before = process_settings()
    training = subject.training()
    torch.manual_seed(UNUSUAL_SEED)
    training.take(_FEW)
    seed = torch.initial_seed()
    changed = changed_settings(before)
    require(
        not changed,
        f"Constructor or steps change {', '.join(changed)}.",
        "Give new tensors the type and device of the parameters instead: torch.zeros_like(...).",
    )
    require(
        seed == UNUSUAL_SEED,
        f"A step sets torch's seed to {seed}.",
        "Do not call torch.manual_seed in an optimizer: noise and the order of the data would be "
        "the same in every step and for every seed. Give it a torch.Generator of its own.",
    )


def zero_grad_clears_the_gradients(subject: Subject) -> None:
    """After `zero_grad`, no parameter has a gradient other than 0."""
    problem = TinyProblem()
    optimizer = subject.optimizer_of(problem.model)
    _backward(problem)
    optimizer.zero_grad()
    left = [n for n, p in problem.model.named_parameters() if p.grad is not None and p.grad.any()]
    require(
        not left,
        f"After zero_grad, {', '.join(left)} still has a gradient.",
        "Inherit zero_grad from torch.optim.Optimizer, and put all parameters into param_groups.",
    )


def parameters_without_a_gradient_are_survived(subject: Subject) -> None:
    """A parameter that the loss does not depend on is no reason to fail, and stays finite."""
    torch.manual_seed(0)
    problem = TinyProblem()
    first = problem.model[0]
    first.register_parameter("unused", nn.Parameter(torch.ones(2, 2, device="cpu")))
    training = subject.training(problem)
    training.take(_FEW)
    require(
        all(map(math.isfinite, training.numbers())),
        "With a parameter that has no gradient, parameters are not finite after some steps.",
        "Leave parameters whose grad is None alone.",
    )


def a_closure_is_called(subject: Subject) -> None:
    """Where `step` takes a closure, it is called, and its loss is what `step` returns."""
    if {"loss", "per_example_losses"} & set(subject.needs):
        skip("Its step takes a loss in place of a closure")
    if "closure" not in inspect.signature(subject.optimizer_class.step).parameters:
        skip("Its step takes no closure")
    problem = TinyProblem()
    optimizer: Any = subject.optimizer_of(problem.model)
    if subject.arguments[1]:
        skip("It trains some of the parameters only, beside another optimizer")
    if "mode" in subject.needs:
        optimizer.train()
    losses: list[Tensor] = []

    def closure() -> Tensor:
        with torch.enable_grad():
            optimizer.zero_grad()
            losses.append(_backward(problem, with_graph="create_graph" in subject.needs))
        return losses[-1]

    if {"gradients", "create_graph"} & set(subject.needs):
        closure()
        losses.clear()
    returned = optimizer.step(closure)
    require(
        bool(losses),
        "step(closure) does not call the closure.",
        "Call it at the beginning of step, under torch.enable_grad().",
    )
    require(
        returned is not None,
        "step(closure) returns None; expected is the loss that the closure returned.",
        "End step with return loss, as the optimizers of torch do.",
    )


def _backward(problem: TinyProblem, *, with_graph: bool = False) -> Tensor:
    loss, _ = problem.get_batch_loss_and_accuracy(problem.batch, reduction="mean")
    if not with_graph:
        loss.backward()  # type: ignore[no-untyped-call]
        return loss
    parameters = list(problem.model.parameters())
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    return loss
