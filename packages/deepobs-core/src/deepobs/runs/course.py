"""The course of a run: what changes while it lasts, and how to go on with it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import torch

from deepobs import rng
from deepobs.runs import passes
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.evaluation import evaluate
from deepobs.runs.history import History
from deepobs.runs.optimizer_state import optimizer_state, set_optimizer_state
from deepobs.runs.schedules import Schedule, build_schedule
from deepobs.runs.stopwatch import Stopwatch
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from deepobs.protocols import Loader, TestProblem
    from deepobs.records import RunSpecification
    from deepobs.runs.passes import Pass


@dataclass
class Course:
    """A run under way.

    Attributes:
        specification: The run.
        problem: Its problem, set up.
        optimizer: Its optimizer.
        schedule: What changes the learning rate.
        trainer: Takes the steps.
        history: What was measured.
        training_pass: The pass under way that can be resumed, if any.
        started_at: When it began, in the form of ISO 8601.
        resumed_at_steps: After how many steps it went on from a checkpoint, every time.
    """

    specification: RunSpecification
    problem: TestProblem
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    trainer: Trainer
    history: History
    training_pass: Pass | None = None
    started_at: str = field(
        default_factory=lambda: datetime.now().astimezone().isoformat(timespec="seconds")
    )
    resumed_at_steps: list[int] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        """Where the run takes place."""
        return torch.device(self.specification.device)

    @property
    def train_loader(self) -> Loader:
        """What yields the batches of training."""
        return self.problem.dataset.train_loader

    def train_epoch(self, report: Callable[[int, float], None], *, is_resumable: bool) -> None:
        """Take a pass over the training set, or the rest of one.

        Args:
            report: Called now and then with the number of steps so far and the latest objective.
            is_resumable: Whether `state_dict` will be asked for meanwhile.
        """
        if self.training_pass is None:
            self.schedule.start_epoch(self.history.epochs)
            if is_resumable:
                self.training_pass = passes.begin_resumable(self.problem, self.device)
        stopwatch = Stopwatch() if self.training_pass is None else self.training_pass.stopwatch
        objectives = self.trainer.train_epoch(report, self.training_pass)
        self.history.add_training(objectives, seconds=stopwatch.seconds)
        self.training_pass = None

    def evaluate(self) -> dict[str, float]:
        """Measure the model, and let the schedule know what came out."""
        stopwatch = Stopwatch()
        metrics = evaluate(self.problem, bare_losses=self.specification.bare_losses)
        self.history.add_evaluation(metrics, seconds=stopwatch.seconds)
        if getattr(self.problem, "records_iterates", False):
            parameters = self.problem.model.parameters()
            self.history.add_iterate([x for p in parameters for x in p.detach().flatten().tolist()])
        if self.history.epochs > 0:
            self.schedule.epoch_ended(metrics)
        return metrics

    def pausing(self) -> AbstractContextManager[None]:
        """A context whose time does not count as training."""
        current = self.training_pass
        return contextlib.nullcontext() if current is None else current.stopwatch.paused()

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""
        under_way = self.training_pass
        return {
            "model": self.problem.model.state_dict(),
            "optimizer": optimizer_state(self.optimizer),
            "schedule": self.schedule.state_dict(),
            "trainer": self.trainer.state_dict(),
            "history": self.history.state_dict(),
            "random": rng.get_state(self.device),
            "loader": passes.loader_state(self.train_loader),
            "pass": under_way and under_way.state_dict(self.problem),
            "started_at": self.started_at,
            "resumed_at_steps": self.resumed_at_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called.

        Args:
            state: What it returned for a run of the same specification.
        """
        self.problem.model.load_state_dict(state["model"])
        self.schedule.load_state_dict(state["schedule"])
        set_optimizer_state(self.optimizer, state["optimizer"])
        self.trainer.load_state_dict(state["trainer"])
        self.history.load_state_dict(state["history"])
        if state["pass"] is None:
            passes.set_loader_state(self.train_loader, state["loader"])
        else:
            self.training_pass = passes.resume(self.problem, self.device, state["pass"])
        self.started_at = state["started_at"]
        self.resumed_at_steps = [*state["resumed_at_steps"], self.trainer.steps]
        rng.set_state(state["random"], self.device)  # last: what is above may draw from them


def begin(
    specification: RunSpecification, optimizer_class: type[torch.optim.Optimizer] | None = None
) -> Course:
    """Begin a run: everything is built, nothing was trained yet.

    Args:
        specification: The run.
        optimizer_class: The optimizer's class, where its import string does not lead to it.

    Raises:
        DataError: The data are missing or broken.
        ArgumentError: A value does not fit the data set or the model.
    """
    problem = set_up_problem(specification)
    optimizer = build_optimizer(specification, problem, optimizer_class)
    schedule = build_schedule(specification, optimizer, len(problem.dataset.train_loader))
    trainer = Trainer(
        problem, optimizer, needs=specification.optimizer_needs, after_step=schedule.after_step
    )
    return Course(
        specification,
        problem,
        optimizer,
        schedule,
        trainer,
        History(specification.train_log_interval),
    )
