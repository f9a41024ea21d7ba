"""One run of a sweep, as it is sent to a worker, and what the worker does with it."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deepobs import config
from deepobs.errors import ArgumentError, OutputError
from deepobs.runs import RunObserver, run, store
from deepobs.runs.optimizers import find_optimizer
from deepobs_bench.claims import claimed
from deepobs_bench.outcomes import (
    Outcome,
    RunStoppedError,
    failure_from,
    find_failure,
    now,
    write_failure,
)
from deepobs_bench.worker import printed_by_this_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from deepobs.records import RunRecord, RunSpecification
    from deepobs.runs.checkpoints import CheckpointPlan

_one_run_at_a_time = threading.Lock()
"""Seeds and default types belong to the whole process: threads would disturb each other's runs."""


@dataclass(frozen=True, kw_only=True)
class RunTask:
    """A run, and all that a worker has to know to carry it out.

    It is pickled on its way, between processes of ours only, and never kept in a file.

    Attributes:
        specification: The run.
        output_dir: Where the worker keeps the result; `None` to have it come back only.
        device_is_open: Whether to run on the worker's default device, whatever the specification
            says.
        settings: Settings of `deepobs.config` by name, as `temporary` takes them.
        code_directory: Where modules of the user's own lie; `None` where none are needed.
        time_limit: Seconds after which the run is ended.
        observers: Whom to tell what happens.
        failures_since: A failure that another process recorded since then is the outcome.
        checkpoints: When to keep the state of the run in its `output_dir`; `None` for never.
    """

    specification: RunSpecification
    output_dir: Path | None = None
    device_is_open: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    code_directory: str | None = None
    time_limit: float | None = None
    observers: tuple[RunObserver, ...] = ()
    failures_since: datetime | None = None
    checkpoints: CheckpointPlan | None = None


def carry_out(task: RunTask) -> Outcome | None:
    """Carry out a run, in whatever process and thread this is called.

    Args:
        task: The run.

    Returns:
        Its record or failure. `None` where another process is at it.

    Raises:
        OutputError: The outcome cannot be written: no other run's could be, either.
    """
    with _one_run_at_a_time, _importable(task.code_directory), config.temporary(**task.settings):
        if task.output_dir is None:
            return _attempt(task)
        with claimed(task.output_dir, task.specification) as is_ours:
            if not is_ours:
                return None
            known = known_outcome(task.output_dir, task.specification, task.failures_since)
            return known or _attempt(task)


def known_outcome(
    output_dir: Path, specification: RunSpecification, failures_since: datetime | None
) -> Outcome | None:
    """What is recorded of a run.

    Args:
        output_dir: Where results are kept.
        specification: The run.
        failures_since: Failures from before do not count; `None` where all do.
    """
    found = store.find(output_dir, specification)
    if found is not None:
        return found[1]
    return find_failure(output_dir, specification, since=failures_since)


class TimeLimit(RunObserver):
    """Ends a run that takes too long, at the next occasion.

    Args:
        seconds: How long the run may take, with the loading of data.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def steps_taken(self, steps: int, loss: float) -> None:
        """Look at the clock."""
        del loss
        self._check(f"after {steps} steps")

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Look at the clock."""
        del metrics
        self._check(f"after epoch {epoch}")

    def _check(self, moment: str) -> None:
        if time.monotonic() > self._deadline:
            raise RunStoppedError(
                "time_limit", f"The time limit of {self._seconds:g} s was reached {moment}."
            )


def _attempt(task: RunTask) -> Outcome:
    started_at = now()
    try:
        return _run(task)
    except OutputError:
        raise
    except (Exception, SystemExit) as error:  # an optimizer is a stranger's code
        failure = failure_from(error, task.specification, started_at, printed=printed_by_this_run())
    if task.output_dir is not None:
        write_failure(task.output_dir, failure)
    return failure


def _run(task: RunTask) -> RunRecord:
    specification = task.specification
    _require_same_code(specification)
    if task.device_is_open:
        device = str(config.get_default_device())
        specification = specification.model_copy(update={"device": device})
    limits = [] if task.time_limit is None else [TimeLimit(task.time_limit)]
    return run(
        specification,
        output_dir=task.output_dir,
        observers=[*limits, *task.observers],
        checkpoints=task.checkpoints,
    ).record


def _require_same_code(specification: RunSpecification) -> None:
    """Refuse to run another version of the user's own optimizer than was asked for."""
    if not specification.optimizer_source:
        return
    if find_optimizer(specification.optimizer_target).source != specification.optimizer_source:
        raise ArgumentError(
            f"The code of {specification.optimizer_target} is another one in this process than "
            "where the run was planned. Plan the run again, and bring the module to all workers."
        )


@contextlib.contextmanager
def _importable(directory: str | None) -> Iterator[None]:
    """Let modules in a directory be found, after all others."""
    if directory is None or directory in sys.path:
        yield
        return
    sys.path.append(directory)
    try:
        yield
    finally:
        sys.path.remove(directory)
