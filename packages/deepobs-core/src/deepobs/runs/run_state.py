"""The state of a run: everything that changes during it, and how to restore that."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeGuard

import torch

from deepobs import rng
from deepobs.errors import ArgumentError, first_line_of
from deepobs.run_specifications import EVERY_EPOCH
from deepobs.runs.evaluation import Evaluator, with_regularizer
from deepobs.runs.ranks import is_of_lost_process
from deepobs.runs.running_statistics import buffers_kept, layers_with_statistics, recalibrate
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from deepobs.protocols import Batch, CarriesState, Loader, ResumableLoader, TestProblem
    from deepobs.run_specifications import RunSpecification
    from deepobs.runs.schedules import Schedule


class Measured(NamedTuple):
    """An evaluation: metrics without the regularizer, the regularizer, and how long it took."""

    metrics: dict[str, float]
    regularizer: float
    seconds: float


class ResumptionError(Exception):
    """The first steps after a resumption failed."""


class RunState:
    """A run in progress.

    Args:
        specification: The run.
        problem: Its problem, after `set_up`.
        optimizer: Its optimizer.

    Attributes:
        specification: The run.
        device: The device of the run.
        problem: Its problem.
        optimizer: Its optimizer.
        schedule: What changes the learning rate; `None` where it is constant.
        trainer: Takes the steps.
        evaluator: Measures the model.
        evaluation_interval: Steps from one evaluation to the next; `None` to evaluate after every
            epoch.
        recalibration_batches: Batches from which running statistics are computed for an evaluation;
            0 to evaluate with those of training.
        history: What was measured.
        training_pass: The pass over the training set in progress; `None` between passes.
        started_at: When the run began, as ISO 8601 has it.
        resumed_at_steps: The number of steps at every resumption.
        packed: The number of runs that are trained as one batched model; `None` for one alone.
    """

    def __init__(
        self,
        specification: RunSpecification,
        problem: TestProblem,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.specification = specification
        self.device = torch.device(specification.device)
        self.problem = problem
        self.optimizer = optimizer
        self.schedule: Schedule | None = None
        if specification.lr_scheduler is not None or specification.lr_sched_epochs is not None:
            # Imported late, since the learning rate of most runs is constant.
            from deepobs.runs.schedules import build_schedule

            steps_per_epoch = len(problem.dataset.train_loader)
            self.schedule = build_schedule(specification, optimizer, steps_per_epoch)
        self.trainer = Trainer(
            problem,
            optimizer,
            needs=specification.optimizer_needs,
            after_step=None if self.schedule is None else self.schedule.after_step,
            specification=specification,
        )
        self.evaluator = Evaluator(problem)
        self.evaluation_interval: int | None = None
        if specification.evaluate_every != EVERY_EPOCH:
            steps_per_epoch = len(problem.dataset.train_loader)
            self.evaluation_interval = specification.evaluation_interval(steps_per_epoch)
        self.recalibration_batches = specification.bn_recalibration
        if self.recalibration_batches and not layers_with_statistics(problem.model):
            self.recalibration_batches = 0
        self.history = History()
        self.training_pass: Pass | None = None
        self.started_at = datetime.now().astimezone().isoformat(timespec="seconds")
        self.resumed_at_steps: list[int] = []
        self.packed: int | None = None

    @property
    def learning_rate(self) -> float | None:
        """That of the first parameter group; `None` if the optimizer has none."""
        # An optimizer that wraps another one may have no groups of its own.
        groups = getattr(self.optimizer, "param_groups", None) or [{}]
        rate = groups[0].get("lr")
        return float(rate) if isinstance(rate, (int, float, torch.Tensor)) else None

    def start_epoch(self) -> float | None:
        """Record the learning rate of the next epoch, and return it."""
        rate = self.learning_rate
        self.history.learning_rates.append(rate)
        return rate

    def metrics_of_step(self, objective: float) -> dict[str, float]:
        """What observers are told of the latest step, whose objective is given."""
        found = {"minibatch_train_loss": objective}
        if (rate := self.learning_rate) is not None:
            found["learning_rate"] = rate
        gradients = self.trainer.gradients
        if gradients is not None and (norm := gradients.latest_norm) is not None:
            found["gradient_norm"] = norm
        return found

    def train_epoch(self, *, is_resumable: bool) -> Iterator[float]:
        """Train to the end of the epoch or of the run, or until an objective is not finite.

        Or to an evaluation within the epoch, after which it goes on: `training_pass` is kept then.

        Args:
            is_resumable: Whether `state_dict` may be called in the loop over what it yields.

        Yields:
            Now and then the latest objective.
        """
        history, loader = self.history, self.problem.dataset.train_loader
        if self.training_pass is None:
            self.training_pass = (
                Pass.begin(loader, self.device) if is_resumable else Pass(iter(loader))
            )
        objectives, batches = self.training_pass.objectives, self.training_pass.batches
        if self.training_pass.carried is not None and _carries_state(self.problem):
            batches = self.training_pass.carrying_on(self.problem)
        stop, pauses = self.specification.max_steps, False
        if self.evaluation_interval is not None:
            evaluation = len(history.evaluations) * self.evaluation_interval
            num_steps = self.specification.steps_in_all(len(loader))
            pauses = evaluation < min(history.steps + len(loader), num_steps)
            # Not at the end of the pass, which its loader has to notice itself.
            stop = evaluation if pauses else stop
        if stop is not None:
            batches = itertools.islice(batches, max(stop - self.trainer.steps, 0))
        reports = self._reports(self.trainer.train_epoch(batches, objectives, pauses=pauses))
        if self.specification.compile_mode is not None:
            reports = self._without_compilation(reports)
        yield from reports
        if not pauses or self.trainer.steps != stop or not all(map(math.isfinite, objectives)):
            self.end_epoch(self.training_pass)

    def end_epoch(self, ended: Pass) -> None:
        """Add the pass to the history."""
        history, objectives = self.history, ended.objectives
        history.epochs += 1
        history.train_seconds.append(time.perf_counter() - ended.zero)
        history.minibatch_train_losses += objectives[:: self.specification.train_log_interval]
        if self.trainer.gradients is not None:
            history.gradient_norms += self.trainer.gradients.end_pass()
        for step, objective in enumerate(objectives, start=history.steps + 1):
            if not math.isfinite(objective):
                history.diverged_at_epoch, history.diverged_at_step = history.epochs, step
                break
        history.steps += len(objectives)
        self.training_pass = None

    def _reports(self, reports: Iterator[float]) -> Iterator[float]:
        try:
            yield from reports
        except Exception as error:
            is_first = self.resumed_at_steps and self.trainer.steps == self.resumed_at_steps[-1]
            if is_first and not is_of_lost_process(error):
                raise ResumptionError(f"The first steps fail: {first_line_of(error)}.") from error
            raise

    def _without_compilation(self, reports: Iterator[float]) -> Iterator[float]:
        for objective in reports:
            self._exclude_compilation()
            yield objective

    def _exclude_compilation(self) -> float:
        """Count the time of compilation since the last call apart, and return it."""
        from deepobs.runs.model_options import take_compile_seconds

        self.history.compile_seconds += (taken := take_compile_seconds())
        if self.training_pass is not None:
            self.training_pass.zero += taken
        return taken

    def is_evaluation_due(self, num_epochs: int) -> bool:
        """Whether to evaluate after an epoch, with an `evaluation_interval`.

        Args:
            num_epochs: The number of epochs of the run, after which it is evaluated in any case.
        """
        interval, done = self.evaluation_interval or 0, len(self.history.evaluations)
        return self.trainer.steps >= done * interval or self.history.epochs >= num_epochs

    def skip_evaluation(self) -> dict[str, float]:
        """End an epoch without an evaluation: schedules advance all the same."""
        if self.schedule is not None:
            # Without metrics: schedules that follow one ask for an evaluation after every epoch.
            self.schedule.evaluated(self.history.epochs, {})
        return {}

    def evaluate(self, measured: Measured | None = None) -> dict[str, float]:
        """Measure the model, and pass the result to the schedule.

        Args:
            measured: What was measured already; `None` to do it here.
        """
        start, history = time.perf_counter(), self.history
        if measured is not None:
            bare, regularizer, seconds = measured
            start -= seconds
        else:
            # The untrained model is evaluated as it is, which is the same for every optimizer.
            is_due = self.recalibration_batches and self.trainer.steps
            with self.recalibrated() if is_due else contextlib.nullcontext():
                bare, regularizer = self.evaluator.measure()
        metrics = with_regularizer(bare, 0.0 if self.specification.bare_losses else regularizer)
        history.eval_seconds.append(time.perf_counter() - start)
        if self.specification.compile_mode is not None:
            history.eval_seconds[-1] -= self._exclude_compilation()
        is_within_epoch = self.training_pass is not None
        if self.training_pass is not None:
            self.training_pass.zero += history.eval_seconds[-1]
        if not all(math.isfinite(value) for name, value in metrics.items() if "loss" in name):
            if self.training_pass is not None:
                self.end_epoch(self.training_pass)
            history.diverged_at_epoch = history.epochs
        # The first evaluation with a loss that is not finite ends the curves.
        if history.diverged_at_epoch is None or not history.evaluations:
            history.evaluations.append(dict(metrics))  # observers may change theirs
        if getattr(self.problem, "records_iterates", False) and history.diverged_at_epoch is None:
            parameters = torch.nn.utils.parameters_to_vector(self.problem.model.parameters())
            history.iterates.append(parameters.detach().tolist())
        if self.schedule is not None and not is_within_epoch:
            # Which loss is reported must not change how the learning rate follows it.
            self.schedule.evaluated(history.epochs, bare)
        return metrics

    @contextlib.contextmanager
    def recalibrated(self) -> Iterator[None]:
        """Let running statistics be those of the evaluated weights; training goes on with its own.

        The batches are those of a pass of their own, after which loader and RNGs are set back.
        """
        problem, current = self.problem, self.training_pass
        loader = problem.dataset.train_loader
        carried = problem.carried_state() if current and _carries_state(problem) else None
        with buffers_kept(problem.model.modules()):
            with rng.preserved():
                before, batches = loader_state(loader), iter(loader)
                if current is not None and batches is current.batches:
                    raise ArgumentError(
                        "The training loader cannot start a pass within another one, so batch "
                        f"normalization cannot be recalibrated within an epoch: {loader!r:.80}. "
                        "Evaluate after epochs, or set bn_recalibration to 0."
                    )
                recalibrate(problem, itertools.islice(batches, self.recalibration_batches))
                set_loader_state(loader, before)
            if current is not None and current.carried is None:
                current.carried = carried
            yield

    def paused(self) -> AbstractContextManager[None]:
        """A context whose time does not count as training."""
        current = self.training_pass
        return contextlib.nullcontext() if current is None else current.paused()

    def state_dict(self) -> dict[str, Any]:
        """Return all that the rest of the run depends on."""
        # Imported late, since few runs write checkpoints.
        from deepobs.runs.optimizer_state import optimizer_state

        current = self.training_pass
        return {
            "model": self.problem.model.state_dict(),
            "optimizer": optimizer_state(*self.parts),
            "trainer": self.trainer.state_dict(),
            "history": vars(self.history).copy(),
            "random": rng.get_state(self.device),
            "loader": loader_state(self.problem.dataset.train_loader),
            "pass": None if current is None else current.state_dict(self.problem),
            "started_at": self.started_at,
            "resumed_at_steps": self.resumed_at_steps,
        }

    def load_weights(self, state: dict[str, Any], *, is_trial: bool = False) -> None:
        """Restore model, optimizer and schedule alone.

        Args:
            state: What `state_dict` returned.
            is_trial: Whether another run is in progress, whose code is the same.
        """
        from deepobs.runs.optimizer_state import set_optimizer_state

        self.problem.model.load_state_dict(state["model"])
        set_optimizer_state(state["optimizer"], *self.parts, with_shared=not is_trial)

    @property
    def parts(self) -> tuple[torch.optim.Optimizer, torch.nn.Module, Schedule | None]:
        """Optimizer, model and schedule, which may refer to each other."""
        return self.optimizer, self.problem.model, self.schedule

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state_dict` was called.

        Args:
            state: What it returned for a run of the same specification.
        """
        self.load_weights(state)
        self.trainer.load_state_dict(state["trainer"])
        vars(self.history).update(state["history"])
        if state["pass"] is None:
            set_loader_state(self.problem.dataset.train_loader, state["loader"])
        else:
            self.training_pass = Pass.resume(self.problem, self.device, state["pass"])
        self.started_at = state["started_at"]
        self.resumed_at_steps = [*state["resumed_at_steps"], self.trainer.steps]
        # Last: everything above may draw random numbers, and repeating the part of the pass that
        # was trained on sets the RNGs itself. Restored earlier, dropout and data augmentation of
        # the next step would differ from those of a run that was not interrupted.
        rng.set_state(state["random"], self.device)


@dataclass
class History:
    """The numbers of a run so far, in types that a checkpoint can hold.

    Attributes:
        epochs: Completed epochs of training.
        steps: Steps of these epochs.
        evaluations: What was measured before the first and after every epoch, or as often as
            `evaluate_every` says, by name. A run that diverges ends with the evaluation before, if
            there is one.
        minibatch_train_losses: The objective at every `train_log_interval`-th step of an epoch.
        gradient_norms: The norm of the gradient at the same steps, where it is recorded.
        iterates: The parameters at every evaluation, where the problem asks for it.
        learning_rates: The learning rate at the beginning of every epoch.
        train_seconds: Seconds of training, for every epoch.
        eval_seconds: Seconds of every evaluation.
        compile_seconds: Seconds in which the model was compiled, which are none of those.
        diverged_at_epoch: The epoch in which a loss was not finite, counted from 1.
        diverged_at_step: The step in which the objective was not finite, counted from 1.
    """

    epochs: int = 0
    steps: int = 0
    evaluations: list[dict[str, float]] = field(default_factory=list)
    minibatch_train_losses: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    iterates: list[list[float]] = field(default_factory=list)
    learning_rates: list[float | None] = field(default_factory=list)
    train_seconds: list[float] = field(default_factory=list)
    eval_seconds: list[float] = field(default_factory=list)
    compile_seconds: float = 0.0
    diverged_at_epoch: int | None = None
    diverged_at_step: int | None = None


@dataclass
class Pass:
    """A pass over the training set in progress.

    Attributes:
        batches: The batches that are left.
        start: The states of loader and RNGs before it; empty if it cannot be resumed.
        objectives: The objective before each step so far.
        zero: The reading of the clock from which its duration counts.
        carried: The state that the problem is to carry into the next batch, where it has another.
    """

    batches: Iterator[Batch]
    start: dict[str, Any] = field(default_factory=dict)
    objectives: list[float] = field(default_factory=list)
    zero: float = field(default_factory=time.perf_counter)
    carried: Any = None

    def carrying_on(self, problem: CarriesState) -> Iterator[Batch]:
        """The batches that are left, the first of which restores the state that is carried."""
        # Not with `yield from`, which would end the pass with the last of these that is asked for.
        return itertools.chain(self._first_restoring(problem), self.batches)

    def _first_restoring(self, problem: CarriesState) -> Iterator[Batch]:
        for batch in itertools.islice(self.batches, 1):
            # Not before: a run that is evaluated first, where it is resumed, still needs it.
            carried, self.carried = self.carried, None
            problem.restore_carried_state(carried, batch)
            yield batch

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time of the block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.zero += time.perf_counter() - start

    @classmethod
    def begin(cls, loader: Loader, device: torch.device) -> Self:
        """Begin a pass that can be resumed.

        Args:
            loader: The loader.
            device: Where the problem is trained.
        """
        start = {"loader": loader_state(loader), "random": rng.get_state(device)}
        return cls(iter(loader), start)

    @classmethod
    def resume(cls, problem: TestProblem, device: torch.device, state: dict[str, Any]) -> Self:
        """Repeat a pass without training, up to where `state_dict` was called.

        The iterator of a loader cannot be saved. But its order and its augmentations follow from
        the states at the start of the pass, so the batches are drawn once more and skipped. It
        leaves the global RNGs in some state.

        Args:
            problem: The problem, with the weights of then.
            device: Where it is trained.
            state: What `state_dict` returned.
        """
        start, objectives = state["start"], state["objectives"]
        loader = problem.dataset.train_loader
        set_loader_state(loader, start["loader"])
        rng.set_state(start["random"], device)
        batches, zero = (
            _batches_from(len(objectives), loader),
            time.perf_counter() - state["seconds"],
        )
        return cls(batches, start, objectives, zero, state["carried_state"])

    def state_dict(self, problem: TestProblem) -> dict[str, Any]:
        """Return what `resume` needs."""
        carried = self.carried
        if carried is None and _carries_state(problem):
            carried = problem.carried_state()
        return {
            "start": self.start,
            "objectives": self.objectives,
            "seconds": time.perf_counter() - self.zero,
            "carried_state": carried,
        }


def loader_state(loader: Loader) -> dict[str, Any]:
    """Return the state of a loader; of one that has none, that of its torch generators."""
    if _is_resumable(loader):
        return loader.state_dict()
    return {"generators": [one.get_state() for one in _generators_of(loader)]}


def set_loader_state(loader: Loader, state: dict[str, Any]) -> None:
    """Restore the state that `loader_state` returned."""
    if _is_resumable(loader):
        loader.load_state_dict(state)
        return
    for generator, before in zip(_generators_of(loader), state.get("generators", ()), strict=False):
        generator.set_state(before)


def _generators_of(loader: object) -> list[torch.Generator]:
    """Those that a loader such as torch's has as attributes, itself or in its samplers."""
    samplers = (getattr(loader, name, None) for name in ("sampler", "batch_sampler"))
    found = [
        value for owner in (loader, *samplers) for value in getattr(owner, "__dict__", {}).values()
    ]
    return list(dict.fromkeys(value for value in found if isinstance(value, torch.Generator)))


def _is_resumable(loader: Loader) -> TypeGuard[ResumableLoader]:
    # Imported late, as below: a run that is not checkpointed needs no protocols.
    from deepobs.protocols import ResumableLoader

    return isinstance(loader, ResumableLoader)


def _carries_state(problem: TestProblem) -> TypeGuard[CarriesState]:
    from deepobs.protocols import CarriesState

    return isinstance(problem, CarriesState)


def _batches_from(number: int, loader: Loader) -> Iterator[Batch]:
    if _is_resumable(loader):
        return loader.batches_from(number)
    batches = iter(loader)
    next(itertools.islice(batches, number, number), None)  # now, so that it draws its numbers now
    return batches
