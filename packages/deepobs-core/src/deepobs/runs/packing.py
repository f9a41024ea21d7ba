"""Packs: runs that differ in their hyperparameters alone, trained as one batched model."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deepobs import rng
from deepobs.errors import DeepOBSError
from deepobs.run_specifications import EVERY_EPOCH, RunSpecification
from deepobs.runs import environment, store
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.execution import RunResult, record_of, tell, with_plugins
from deepobs.runs.run_state import Measured, Pass, RunState
from deepobs.runs.stacked_models import PackingError, StackedModels, check_packing
from deepobs.runs.stacked_optimizers import SeparateSteps, states_of_rngs, steps_of
from deepobs.runs.timing import of_few_batches
from deepobs.runs.training import STEPS_BETWEEN_REPORTS
from deepobs.runs.untrained import copied_parameters, warn_of_untrained

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor

    from deepobs.protocols import Batch, TestProblem
    from deepobs.runs.execution import RunObserver
    from deepobs.runs.plugin_observers import PluginObservers
    from deepobs.runs.stacked_optimizers import Steps

__all__ = ["PackingError", "key_of", "reason_of_problem", "reason_to_run_alone", "run_together"]

_OWN = {
    *("hyperparameters", "at_defaults", "parameter_groups", "label"),
    *("lr_sched_epochs", "lr_sched_factors", "lr_scheduler"),
}
"""The fields in which the runs of a pack may differ."""
_SHARED = [name for name in RunSpecification.model_fields if name not in _OWN]


def reason_to_run_alone(specification: RunSpecification) -> str:
    """Why a run cannot be trained together with others, as far as its specification says.

    Returns:
        The reason, as in "it ..."; empty if there is none.
    """
    needs = [need for need in specification.optimizer_needs if need != "plain"]
    if needs:
        return f"its optimizer needs another step than backward and step ({', '.join(needs)})"
    for name, default in (("max_steps", None), ("evaluate_every", EVERY_EPOCH)):
        if getattr(specification, name) != default:
            return f"it has {name}"
    for name in specification.step_options:
        return f"it has {name}"
    if specification.log_gradient_norm:
        return "it records norms of gradients"
    return "it recalibrates normalization" if specification.bn_recalibration else ""


def reason_of_problem(specification: RunSpecification) -> str:
    """Why runs on a problem cannot be trained together, by a trial on a few examples.

    Returns:
        The reason; empty if there is none, or if the trial fails for another one.
    """
    try:
        few = of_few_batches(specification, 2)
    except DeepOBSError:  # a problem with a data set of its own
        few = specification
    try:
        with environment.reproducible(few):
            check_packing(set_up_problem(few))
    except PackingError as error:
        return str(error)
    except Exception:  # the runs will say it
        return ""
    return ""


def key_of(specification: RunSpecification) -> str:
    """A text that is equal for runs which can be trained together."""
    values = specification.hyperparameters
    parts = [getattr(specification, name) for name in _SHARED]
    # What is no number changes the formulas of a step.
    parts.append({n: v for n, v in sorted(values.items()) if isinstance(v, (bool, str))})
    return repr(parts)


@dataclass(eq=False)
class Member:
    """One of the runs of a pack."""

    position: int
    state: RunState
    observers: Sequence[RunObserver | PluginObservers]
    initial: dict[str, Tensor] | None = None
    error: Exception | None = None

    def tell(self, event: str, *arguments: Any) -> None:
        """Call its observers, which may end it by an exception."""
        if self.observers:
            with self.ended_by_exceptions():
                tell(self.observers, event, *arguments)

    @contextlib.contextmanager
    def ended_by_exceptions(self) -> Iterator[None]:
        """Let an exception end this run, and not the others."""
        try:
            yield
        except Exception as error:
            self.error = self.error or error

    @property
    def is_over(self) -> bool:
        """Whether it leaves the pack."""
        return self.error is not None or self.state.history.diverged_at_epoch is not None


def run_together(
    specifications: Sequence[RunSpecification],
    *,
    output_dir: str | os.PathLike[str] | None = None,
    observers: Sequence[Sequence[RunObserver]] = (),
) -> list[RunResult | Exception]:
    """Train several optimizers on one test problem as one batched model.

    Every run has the batches, the masks and the noise that it would have alone, and the same
    results up to the order of sums. One that diverges leaves the others.

    Args:
        specifications: Runs with one `key_of` and without a `reason_to_run_alone`.
        output_dir: The directory of results; `None` to write no files. Results that exist are kept,
            and the latest counts.
        observers: Receive the events of each run; none for no observers.

    Returns:
        The result of each run, or the exception that ended it.

    Raises:
        PackingError: The problem or the optimizers do not support it. Results that were written
            until then are as good as others.
        OutputError: A result cannot be written.
        DataError: The data are missing or broken.
    """
    first, directory = specifications[0], None if output_dir is None else Path(output_dir)
    if directory is not None:
        store.prepare(directory)
    results: list[RunResult | Exception] = [PackingError("it has not ended")] * len(specifications)

    def end(member: Member) -> None:
        if member.error is None:
            record = record_of(member.state)
            member.tell("run_ended", record)
        if member.error is not None:
            tell(member.observers, "run_failed", member.error)
            results[member.position] = member.error
            return
        specification, written = member.state.specification, None
        if directory is not None:
            written = store.write(directory, specification, record.to_json())
        results[member.position] = RunResult(record, written)

    with environment.reproducible(first):
        begin_pack(specifications, observers, end).execute()
    return results


def begin_pack(
    specifications: Sequence[RunSpecification],
    observers: Sequence[Sequence[RunObserver]] = (),
    end: Callable[[Member], None] = lambda _: None,
) -> Pack:
    """Set up what `run_together` executes, in the environment of the runs."""
    problem = set_up_problem(specifications[0])
    check_packing(problem)
    stacked = StackedModels(problem, len(specifications))
    before, members = states_of_rngs(), []
    for position, (specification, model) in enumerate(
        zip(specifications, stacked.models, strict=True)
    ):
        own: TestProblem = copy.copy(problem)
        own.model = model
        told = with_plugins(observers[position] if observers else ())
        state = RunState(specification, own, build_optimizer(specification, own))
        state.packed = len(specifications)
        members.append(Member(position, state, told))
    if states_of_rngs() != before:
        raise PackingError("its optimizer draws random numbers")
    return Pack(stacked, members, end)


class Pack:
    """Runs in progress as one batched model.

    Args:
        stacked: Their models.
        members: The runs.
        end: Called with each run when it has ended.

    Attributes:
        stacked: Their models.
    """

    def __init__(
        self, stacked: StackedModels, members: Sequence[Member], end: Callable[[Member], None]
    ) -> None:
        self.stacked = stacked
        self._members = list(members)
        self._end = end
        self._problem = stacked.problem
        self._steps: Steps = steps_of(stacked, [one.state.optimizer for one in members])
        self._schedules = [one.state.schedule for one in members]

    def execute(self) -> None:
        """Train and evaluate to the end of all runs."""
        loader = self._problem.dataset.train_loader
        num_epochs = self._members[0].state.specification.epochs_begun(len(loader))
        for member in self._members:
            member.tell("run_started", member.state.specification, len(loader), 0)
        self._evaluate()
        for member in self._members:
            member.initial = copied_parameters(member.state.problem.model)
        for epoch in range(num_epochs):
            if not self._members:
                return
            self._train_epoch(epoch)
            self._evaluate()
        for member in self._members:
            self._end(member)

    def _train_epoch(self, epoch: int) -> None:
        start = time.perf_counter()
        for member in self._members:
            member.tell("epoch_started", epoch, member.state.start_epoch())
            member.state.training_pass = Pass(iter(()))
        self._problem.model.train()
        batches = iter(self._problem.dataset.train_loader)
        while self._members and (
            block := self.take_steps(itertools.islice(batches, STEPS_BETWEEN_REPORTS))
        ):
            share = (time.perf_counter() - start) / len(self._members)
            for member, objectives in zip(self._members, zip(*block, strict=True), strict=True):
                self._note(member, objectives, share)
            self._drop_those_over()
        share = (time.perf_counter() - start) / max(len(self._members), 1)
        for member in self._members:
            self._end_epoch(member, share)

    def take_steps(self, batches: Iterable[Batch]) -> list[list[float]]:
        """Take a step on each batch; the objectives of all runs before each of them."""
        objectives = list(map(self._step, batches))
        if isinstance(self._steps, SeparateSteps):
            self.stacked.require_views()
        found: list[list[float]] = torch.stack(objectives).tolist() if objectives else []
        return found

    def _step(self, batch: Batch) -> Tensor:
        objectives = self.stacked.objectives(batch)
        self._steps.step(self.stacked.gradients(objectives))
        if any(self._schedules):
            self._advance_schedules()
        return objectives.detach()

    def _advance_schedules(self) -> None:
        """Advance the schedules that change something after each step."""
        after_step = [one.after_step for one in self._schedules if one and one.after_step]
        for advance in after_step:
            advance()
        if after_step:
            self._steps.load_hyperparameters()

    def _note(self, member: Member, objectives: Sequence[float], seconds: float) -> None:
        """Keep what a run did between two reports; its epoch ends where it diverged."""
        state = member.state
        state.trainer.steps += len(objectives)
        state.trainer.gradient_evaluations += len(objectives)
        current = state.training_pass
        assert current is not None  # noqa: S101 # it was begun by `_train_epoch`
        current.objectives += objectives
        if member.observers:
            metrics = state.metrics_of_step(objectives[-1])
            member.tell("steps_taken", state.trainer.steps, metrics)
        if not all(map(math.isfinite, objectives)):
            self._end_epoch(member, seconds)

    def _end_epoch(self, member: Member, seconds: float) -> None:
        current = member.state.training_pass
        assert current is not None  # noqa: S101 # as above
        current.zero = time.perf_counter() - seconds
        member.state.end_epoch(current)
        if member.initial is not None and not member.is_over:
            with member.ended_by_exceptions(), rng.preserved():
                warn_of_untrained(member.state, member.initial)
            member.initial = None

    def _evaluate(self) -> None:
        if not self._members:
            return
        start = time.perf_counter()
        metrics, regularizers = self.stacked.evaluate()
        seconds = (time.perf_counter() - start) / len(self._members)
        for member, found, regularizer in zip(self._members, metrics, regularizers, strict=True):
            with member.ended_by_exceptions():
                shown = member.state.evaluate(Measured(found, regularizer, seconds))
                member.tell("epoch_ended", member.state.history.epochs, shown)
        if any(self._schedules):
            self._steps.load_hyperparameters()
        self._drop_those_over()

    def _drop_those_over(self) -> None:
        """Let runs that diverged or failed leave; the others go on without them."""
        kept = [row for row, one in enumerate(self._members) if not one.is_over]
        if len(kept) == len(self._members):
            return
        for member in self._members:
            if member.is_over:
                self._end(member)
        self._members = [self._members[row] for row in kept]
        self._schedules = [self._schedules[row] for row in kept]
        if kept:
            self.stacked.keep(kept)
            self._steps.keep(kept)
