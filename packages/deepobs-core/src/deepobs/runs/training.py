"""The training loop: one pass over the training set."""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING

import torch

from deepobs.errors import ArgumentError
from deepobs.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from deepobs.protocols import Batch, TestProblem

STEPS_BETWEEN_REPORTS = 100
"""Only this often does training wait for the device: to report, and to notice divergence."""


class Trainer:
    """Takes optimization steps on a problem and counts them.

    The objective is the mean loss of a batch plus the regulariser.

    Args:
        problem: A problem that was set up.
        optimizer: An optimizer of its model's parameters.
        needs_closure: Whether the optimizer evaluates the objective itself.

    Attributes:
        steps: Steps taken so far.
        gradient_evaluations: Gradients computed so far.
    """

    def __init__(
        self, problem: TestProblem, optimizer: torch.optim.Optimizer, *, needs_closure: bool
    ) -> None:
        self.steps = 0
        self.gradient_evaluations = 0
        self._problem = problem
        self._loss = _loss_function(problem)
        self._optimizer = optimizer
        self._step = self._step_with_closure if needs_closure else self._plain_step
        # A regulariser without a gradient is constant: adding it would only cost time.
        self._is_regularized = problem.get_regularization_loss().requires_grad

    def train_epoch(self, report: Callable[[int, float], None]) -> list[float]:
        """Take one pass over the training set.

        Args:
            report: Called now and then with the number of steps so far and the latest objective.

        Returns:
            The objective before each step. It ends early, at or soon after the first value that is
            not finite: the rest of the pass would be wasted.
        """
        self._problem.model.train()
        batches = iter(self._problem.dataset.train_loader)
        objectives: list[float] = []
        while block := self.take_steps(itertools.islice(batches, STEPS_BETWEEN_REPORTS)):
            objectives += block
            report(self.steps, block[-1])
            if not all(map(math.isfinite, block)):
                break
        return objectives

    def take_steps(self, batches: Iterable[Batch]) -> list[float]:
        """Take a step on each batch, with the model in the mode that it is in.

        Args:
            batches: Any number of batches.

        Returns:
            The objective before each step, for which it waits until the device is done.
        """
        # `map` lets go of a batch before it asks for the next, whose memory is then still in cache.
        objectives = list(map(self._step, batches))
        self.steps += len(objectives)
        return torch.stack(objectives).tolist() if objectives else []

    def _plain_step(self, batch: Batch) -> Tensor:
        self._optimizer.zero_grad()
        objective = self._objective(batch)
        objective.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.gradient_evaluations += 1
        return objective.detach()

    def _step_with_closure(self, batch: Batch) -> Tensor:
        objectives: list[Tensor] = []

        def closure() -> Tensor:
            self._optimizer.zero_grad()
            objective = self._objective(batch)
            objective.backward()  # type: ignore[no-untyped-call]
            self.gradient_evaluations += 1
            objectives.append(objective.detach())
            return objective

        self._optimizer.step(closure)  # type: ignore[arg-type]
        if not objectives:
            raise ArgumentError(
                f"{type(self._optimizer).__name__} asks for a closure, but its step does not call "
                "it: there is nothing to train on."
            )
        return objectives[0]

    def _objective(self, batch: Batch) -> Tensor:
        loss = self._loss(batch)
        return loss + self._problem.get_regularization_loss() if self._is_regularized else loss


def _loss_function(problem: TestProblem) -> Callable[[Batch], Tensor]:
    """The mean loss of a batch, without the accuracy where the problem can leave it out."""
    if isinstance(problem, Problem):
        return functools.partial(problem.get_batch_loss, reduction="mean")
    return lambda batch: problem.get_batch_loss_and_accuracy(batch, reduction="mean")[0]


class StepSchedule:
    """A learning rate that changes at given epochs, relative to where it started.

    Args:
        optimizer: Whose learning rates to set.
        epochs: Epochs after which the rates change, increasing.
        factors: What the initial rates are multiplied by from then on.

    Raises:
        ArgumentError: There are epochs, but the optimizer keeps no learning rate `lr`.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, epochs: tuple[int, ...], factors: tuple[float, ...]
    ) -> None:
        self._groups = optimizer.param_groups
        self._factor_from = dict(zip(epochs, factors, strict=True))
        if epochs and not all("lr" in group for group in self._groups):
            raise ArgumentError(
                f"{type(optimizer).__name__} keeps no learning rate 'lr' in its parameter groups: "
                "leave out the schedule."
            )
        # Without a schedule nothing is asked of an optimizer that has no learning rate.
        self._initial_rates = [group["lr"] for group in self._groups] if epochs else []

    def start_epoch(self, epoch: int) -> None:
        """Set the rates for the epoch that follows on `epoch` trained ones."""
        factor = self._factor_from.get(epoch)
        if factor is not None:
            for group, initial_rate in zip(self._groups, self._initial_rates, strict=True):
                group["lr"] = initial_rate * factor
