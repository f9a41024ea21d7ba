"""What all trackers have in common: how they are opened, what they log, and how they fail."""

from __future__ import annotations

import copy
import hashlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.errors import (
    MissingPackageError,
    ProtocolError,
    TrackerWarning,
    UnknownNameError,
    first_line_of,
)
from deepobs.plugins import registry
from deepobs.runs import environment
from deepobs.runs.execution import RunObserver
from deepobs.runs.own_code import releases_of_run
from deepobs.runs.progress import schedule_of
from deepobs.runs.specification import reproduction_command
from deepobs.runs.store import configuration_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

PROJECT = "deepobs"
"""The project, or what a tracker calls so, of runs for which none was named."""


def open_trackers(names: str | Iterable[str]) -> list[RunObserver]:
    """Open trackers, for the `observers` of runs.

    What fails in one later, in the middle of a run, ends its record and gives one warning.

    Args:
        names: One or several of `NAME` or `NAME=PLACE`: the name of a tracker, and where it is to
            write, which means something else for each.

    Raises:
        UnknownNameError: No installed plugin offers a tracker of this name.
        MissingPackageError: Its library is not installed.
        DeepOBSError: It cannot write there.
    """
    given = [names] if isinstance(names, str) else names
    return [_open(text) for text in dict.fromkeys(given)]


def _open(text: str) -> RunObserver:
    name, _, place = text.partition("=")
    trackers = registry().trackers
    first, _, rest = name.partition(":")
    if trackers.called(first) and not trackers.called(name):
        raise UnknownNameError(
            f"There is no tracker {name!r}. Where to write is given as {first}={rest}."
        )
    offer = trackers.offer(name)
    tracker = trackers.load(offer)(place or None)
    if not isinstance(tracker, RunObserver):
        raise ProtocolError(f"{offer} gives {tracker!r}, which is no deepobs.runs.RunObserver.")
    return _Guarded(tracker, name)


def missing_library(title: str, extra: str, error: ImportError) -> MissingPackageError:
    """The error for a tracker whose library cannot be imported."""
    return MissingPackageError(
        f"{title} cannot be imported ({error}). Install it with: "
        f"pip install 'deepobs-core[{extra}]'."
    )


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run, as a tracker begins its record.

    Attributes:
        run_id: The identity of the run, by which its record is found again.
        name: A name to show, with what tells runs of a sweep apart; at most 128 characters.
        group: The same for all seeds of a configuration, and at most 128 characters.
        config: Hyperparameters by name; values of other types than these are texts.
        facts: The command that reproduces the run, and versions.
        is_resumed: Whether it continues from a checkpoint, and its record with it; else it begins
            anew, and replaces an earlier record.
    """

    run_id: str
    name: str
    group: str
    config: Mapping[str, bool | int | float | str]
    facts: Mapping[str, str]
    is_resumed: bool

    @classmethod
    def of(cls, specification: RunSpecification, resumed_at: int = 0) -> TrackedRun:
        """Describe a run.

        Args:
            specification: The run.
            resumed_at: Steps of the checkpoint from which it continues; 0 where it begins.
        """
        problem, optimizer = specification.testproblem, specification.label
        optimizer = optimizer or specification.optimizer
        settings = [f"{name} = {value}" for name, value in specification.hyperparameters.items()]
        shown = ", ".join([f"{optimizer} on {problem}", *settings])
        configuration = hashlib.sha256(configuration_path(specification).encode()).hexdigest()
        versions = environment.versions(
            {**_plugins_of(specification), **releases_of_run(specification)}
        )
        return cls(
            run_id=specification.run_id,
            name=f"{shown[:100]}, seed {specification.random_seed}",
            group=f"{optimizer[:50]} on {problem[:50]} {configuration[:8]}",
            config={
                **hyperparameters_of(specification),
                "random_seed": specification.random_seed,
                "device": specification.device,
                "dtype": specification.dtype,
            },
            facts={
                "command": reproduction_command(specification),
                **{f"version.{name}": version for name, version in versions.items()},
            },
            is_resumed=resumed_at > 0,
        )


def _plugins_of(specification: RunSpecification) -> dict[str, str]:
    """The version of the plugin that offers the problem of a run."""
    offer = registry().problems.find(specification.testproblem)
    return {offer.distribution: offer.version} if offer and offer.distribution else {}


class Tracker(RunObserver):
    """Base of trackers that have a record for each run, to which metrics are added by step.

    A subclass says how to begin a record, add metrics and end it. It takes the place to write, or
    `None`, as its only argument, is pickled before runs, and copied for each of them.

    Logged are all metrics of evaluations and `epoch`, the epochs trained so far; and
    `minibatch_train_loss`, `learning_rate` and `gradient_norm` as in `RunObserver.steps_taken`. A
    step of a metric that the record has already is not logged again.
    """

    _steps_per_epoch = 1
    _specification: RunSpecification | None = None
    _latest: dict[str, int] | None = None  # None: no record is open

    def begin(self, run: TrackedRun) -> Mapping[str, int]:
        """Begin the record of a run, or open it again if the run is resumed.

        Returns:
            The latest step of each metric that the record has.
        """
        raise NotImplementedError

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add metrics to the record; they may be infinite or NaN."""
        raise NotImplementedError

    def end(self, status: str, reason: str, record: RunRecord | None) -> None:
        """Close the record.

        Args:
            status: `completed`, `diverged`, `failed` or, if from outside, `interrupted`.
            reason: Why it is not completed.
            record: The result; `None` where the run has none.
        """
        raise NotImplementedError

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        """Begin or reopen the record."""
        self._steps_per_epoch = steps_per_epoch
        self._specification = specification
        self._latest = dict(self.begin(TrackedRun.of(specification, resumed_at)))

    def epoch_started(self, epoch: int, learning_rate: float | None) -> None:
        """Log the learning rate."""
        if learning_rate is not None:
            self._log(epoch * self._steps_per_epoch, {"learning_rate": learning_rate})

    def steps_taken(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of the latest step."""
        # At the end of an epoch, a schedule may still change the rate: the next one tells it.
        is_end = steps % self._steps_per_epoch == 0
        left_out = "learning_rate" if is_end else ""
        self._log(steps, {name: metrics[name] for name in metrics if name != left_out})

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log an evaluation."""
        assert self._specification is not None  # noqa: S101 # `run_started` comes first
        steps = self._specification.steps_after(epoch, self._steps_per_epoch)
        self._log(steps, {**metrics, "epoch": epoch})

    def evaluated_within_epoch(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Log an evaluation."""
        self._log(steps, {**metrics, "epoch": steps / self._steps_per_epoch})

    def run_ended(self, record: RunRecord) -> None:
        """Close the record, with the result."""
        reason = ""
        if record.status == "diverged":
            reason = f"in epoch {record.diverged_at_epoch}, step {record.diverged_at_step}"
        self._latest = None
        self.end(record.status, reason, record)

    def run_failed(self, error: BaseException) -> None:
        """Close the record of a run without a result."""
        if self._latest is not None:
            self._latest = None
            status = "failed" if isinstance(error, Exception) else "interrupted"
            self.end(status, first_line_of(error), None)

    def _log(self, step: int, metrics: Mapping[str, float]) -> None:
        latest = self._latest
        if latest is None:
            return
        new = {name: value for name, value in metrics.items() if step > latest.get(name, -1)}
        if new:
            latest.update(dict.fromkeys(new, step))
            self.log(step, new)


class _Guarded(RunObserver):
    """A tracker whose failures end no run: it is left out for the rest of it."""

    def __init__(self, tracker: RunObserver, name: str) -> None:
        self._opened, self._name = tracker, name
        self._tracker: RunObserver | None = None

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        self._tracker = copy.copy(self._opened)
        self._tell("run_started", specification, steps_per_epoch, resumed_at)

    def epoch_started(self, epoch: int, learning_rate: float | None) -> None:
        self._tell("epoch_started", epoch, learning_rate)

    def steps_taken(self, steps: int, metrics: Mapping[str, float]) -> None:
        self._tell("steps_taken", steps, metrics)

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self._tell("epoch_ended", epoch, metrics)

    def evaluated_within_epoch(self, steps: int, metrics: Mapping[str, float]) -> None:
        self._tell("evaluated_within_epoch", steps, metrics)

    def run_ended(self, record: RunRecord) -> None:
        self._tell("run_ended", record)
        self._tracker = None

    def run_failed(self, error: BaseException) -> None:
        self._tell("run_failed", error)
        self._tracker = None

    def _tell(self, event: str, *arguments: Any) -> None:
        if self._tracker is None:
            return
        try:
            # Of their own affairs, libraries may warn in vain; and a filter may make errors of it.
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                for ignored in (DeprecationWarning, FutureWarning, ResourceWarning):
                    warnings.simplefilter("ignore", ignored)
                getattr(self._tracker, event)(*arguments)
        except (Exception, SystemExit) as error:
            self._tracker = None
            reason = first_line_of(error)
            warn_once(f"The tracker {self._name} failed, and the run goes on without it: {reason}.")


_warned: set[str] = set()


def warn_once(text: str) -> None:
    """Warn of a tracker, once in this process."""
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, TrackerWarning, stacklevel=2)


def warnings_given() -> frozenset[str]:
    """All warnings of trackers in this process, for the process that started it."""
    return frozenset(_warned)


def hyperparameters_of(specification: RunSpecification) -> dict[str, bool | int | float | str]:
    """The hyperparameters by which runs are compared; values of other types as text."""
    in_groups = {
        f"{role}.{name}": value
        for role, settings in specification.parameter_groups.items()
        for name, value in settings.items()
    }
    named = {
        "testproblem": specification.testproblem,
        "optimizer": specification.optimizer,
        "num_epochs": specification.num_epochs,
        "batch_size": specification.batch_size,
        "problem_weight_decay": specification.weight_decay,
        "fake_data": specification.fake_data_fraction or None,
        "lr_schedule": schedule_of(specification) or None,
        **specification.hyperparameters,
        **in_groups,
    }
    return {
        name: value if isinstance(value, (bool, int, float, str)) else str(value)
        for name, value in named.items()
        if value is not None
    }
