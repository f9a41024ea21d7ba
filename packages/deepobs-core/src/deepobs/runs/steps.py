"""One optimization step, taken the way that the optimizer needs it."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import torch

from deepobs.errors import ArgumentError
from deepobs.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import Tensor, nn

    from deepobs.protocols import Batch, TestProblem


class Stepper:
    """Takes steps on the objective, the mean loss of a batch plus the regulariser.

    What an optimizer needs is decided once: what is asked in a step costs time in every step.

    Args:
        problem: A problem that was set up.
        optimizer: An optimizer of its model's parameters.
        needs: What the optimizer needs, words of `NEEDS`.

    Attributes:
        take: Takes a step on a batch and returns the objective before it, detached.
        gradient_evaluations: Gradients of the objective computed so far; products with its Hessian
            are not counted.
    """

    def __init__(
        self, problem: TestProblem, optimizer: torch.optim.Optimizer, needs: Collection[str]
    ) -> None:
        self.gradient_evaluations = 0
        self._problem = problem
        self._optimizer: Any = optimizer  # its step takes what the needs say
        self._has_gradients_first = "gradients" in needs
        self._argument = _argument_of_step(optimizer)
        self._losses = _loss_function(problem, "none" if "per_example_losses" in needs else "mean")
        # A regulariser without a gradient is constant: adding it would only cost time.
        self._is_regularized = problem.get_regularization_loss().requires_grad
        leaves_it_to_the_optimizer = {"backward", "per_example_losses"} & set(needs)
        self._evaluated = self._with_graph if leaves_it_to_the_optimizer else self._with_gradients
        self._backward: Callable[[Tensor], None] = _backward
        if "create_graph" in needs:
            self._backward = functools.partial(_backward_with_graph, problem.model)
        self.take = self._step_for(needs)

    def _step_for(self, needs: Collection[str]) -> Callable[[Batch], Tensor]:
        step = self._plain_step
        if "closure" in needs:
            step = self._step_with_closure
        elif {"loss", "per_example_losses"} & set(needs):
            step = self._step_with_loss
        if "create_graph" not in needs:
            return step
        # Gradients that hold their graph would keep it, and all activations, from being freed.
        return followed_by(self._optimizer.zero_grad, step)

    def _plain_step(self, batch: Batch) -> Tensor:
        objective = self._evaluated(batch)
        self._optimizer.step()
        return objective.detach()

    def _step_with_closure(self, batch: Batch) -> Tensor:
        objectives: list[Tensor] = []

        @torch.enable_grad()  # some call it without gradients
        def closure() -> Tensor:
            objective = self._evaluated(batch)
            objectives.append(objective.detach())
            return objective

        if self._has_gradients_first:
            closure()
        self._optimizer.step(closure)
        if not objectives:
            raise ArgumentError(
                f"{type(self._optimizer).__name__} asks for a closure, but its step does not call "
                "it: there is nothing to train on."
            )
        return objectives[0]

    def _step_with_loss(self, batch: Batch) -> Tensor:
        objective = self._evaluated(batch)
        if self._argument is None:
            self._optimizer.step(objective)
        else:
            self._optimizer.step(**{self._argument: objective})
        return objective.detach().mean()

    def _with_gradients(self, batch: Batch) -> Tensor:
        """The objective, with its gradients in the parameters."""
        self._optimizer.zero_grad()
        objective = self._objective(batch)
        self._backward(objective)
        self.gradient_evaluations += 1
        return objective

    def _with_graph(self, batch: Batch) -> Tensor:
        """The objective, or one for each example, for an optimizer that differentiates it itself.

        The mean over the examples is the objective: each of theirs includes the regulariser.
        """
        self._optimizer.zero_grad()
        objective = self._objective(batch)
        if objective.requires_grad:
            objective.register_hook(self._count)  # type: ignore[no-untyped-call]
        return objective

    def _objective(self, batch: Batch) -> Tensor:
        loss = self._losses(batch)
        return loss + self._problem.get_regularization_loss() if self._is_regularized else loss

    def _count(self, gradient: Tensor) -> None:
        del gradient
        self.gradient_evaluations += 1


def followed_by(
    action: Callable[[], object], step: Callable[[Batch], Tensor]
) -> Callable[[Batch], Tensor]:
    """A step, after which something else is done.

    Args:
        action: What to do after it.
        step: Takes a step on a batch.
    """

    def both(batch: Batch) -> Tensor:
        objective = step(batch)
        action()
        return objective

    return both


def _backward(objective: Tensor) -> None:
    objective.backward()  # type: ignore[no-untyped-call]


def _backward_with_graph(model: nn.Module, objective: Tensor) -> None:
    """Gradients that can be differentiated again; `backward` would warn of the cycles they make."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(objective, parameters, create_graph=True, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient


def _loss_function(problem: TestProblem, reduction: str) -> Callable[[Batch], Tensor]:
    """The losses of a batch, without the accuracy where the problem can leave it out."""
    if isinstance(problem, Problem):
        return functools.partial(problem.get_batch_loss, reduction=reduction)
    return lambda batch: problem.get_batch_loss_and_accuracy(batch, reduction=reduction)[0]


def _argument_of_step(optimizer: torch.optim.Optimizer) -> str | None:
    """What `step` calls the loss that it takes, `None` for its first argument."""
    parameters = inspect.signature(optimizer.step).parameters
    return next((name for name in ("loss", "losses") if name in parameters), None)
