"""The training loop: one pass over the training set."""

from __future__ import annotations

import contextlib
import itertools
import math
from typing import TYPE_CHECKING, Any

import torch

from deepobs.runs.passes import Pass
from deepobs.runs.steps import Stepper, followed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from deepobs.protocols import Batch, TestProblem

STEPS_BETWEEN_REPORTS = 100
"""Only this often does training wait for the device: to report, and to notice divergence."""


class Trainer:
    """Takes optimization steps on a problem and counts them.

    Args:
        problem: A problem that was set up.
        optimizer: An optimizer of its model's parameters. One that has modes is in that for
            evaluation from now on, except while `training`.
        needs: What the optimizer needs, words of `NEEDS`.
        after_step: Called after each step; `None` for nothing.

    Attributes:
        steps: Steps taken so far.
    """

    def __init__(
        self,
        problem: TestProblem,
        optimizer: torch.optim.Optimizer,
        *,
        needs: Collection[str] = (),
        after_step: Callable[[], object] | None = None,
    ) -> None:
        self.steps = 0
        self._problem = problem
        self._stepper = Stepper(problem, optimizer, needs)
        take = self._stepper.take
        self._step = take if after_step is None else followed_by(after_step, take)
        self._optimizer: Any = optimizer
        self._has_modes = "mode" in needs
        if self._has_modes:
            _evaluate_from_the_start(optimizer)

    @property
    def gradient_evaluations(self) -> int:
        """Gradients of the objective computed so far."""
        return self._stepper.gradient_evaluations

    def train_epoch(
        self, report: Callable[[int, float], None], training_pass: Pass | None = None
    ) -> list[float]:
        """Take one pass over the training set.

        Args:
            report: Called now and then with the number of steps so far and the latest objective.
            training_pass: The pass, which may have come some way already; `None` for a new one.

        Returns:
            The objective before each step. It ends early, at or soon after the first value that is
            not finite: the rest of the pass would be wasted.
        """
        with self.training():
            current = training_pass or Pass(iter(self._problem.dataset.train_loader))
            objectives = current.objectives
            while _all_finite(objectives[-STEPS_BETWEEN_REPORTS:]) and (
                block := self.take_steps(itertools.islice(current.batches, STEPS_BETWEEN_REPORTS))
            ):
                objectives += block
                report(self.steps, block[-1])
        return objectives

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Put the model, and an optimizer that has modes, in the mode for training.

        Afterwards such an optimizer is in that for evaluation again: the model holds the weights
        to evaluate, as averages of those that were trained.
        """
        self._problem.model.train()
        self._set_mode("train")
        yield
        self._set_mode("eval")

    def take_steps(self, batches: Iterable[Batch]) -> list[float]:
        """Take a step on each batch, in the mode that model and optimizer are in.

        Args:
            batches: Any number of batches.

        Returns:
            The objective before each step, for which it waits until the device is done.
        """
        # `map` lets go of a batch before it asks for the next, whose memory is then still in cache.
        objectives = list(map(self._step, batches))
        self.steps += len(objectives)
        return torch.stack(objectives).tolist() if objectives else []

    def state_dict(self) -> dict[str, int]:
        """What was counted."""
        return {"steps": self.steps, "gradient_evaluations": self.gradient_evaluations}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on counting from what `state_dict` returned."""
        self.steps = state["steps"]
        self._stepper.gradient_evaluations = state["gradient_evaluations"]

    def _set_mode(self, mode: str) -> None:
        if self._has_modes:
            getattr(self._optimizer, mode)()


def _evaluate_from_the_start(optimizer: Any) -> None:
    """Put an optimizer in the mode for evaluation before its first step.

    Some have nothing to evaluate by then, and fail: they are left as they were.
    """
    before = {key: dict(state) for key, state in optimizer.state.items()}
    try:
        optimizer.eval()
    except LookupError:
        optimizer.state.clear()
        optimizer.state.update(before)


def _all_finite(values: Iterable[float]) -> bool:
    return all(map(math.isfinite, values))
