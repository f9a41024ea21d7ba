"""One run of a sweep, as it is sent to a worker, and how the worker claims and executes it."""

from __future__ import annotations

import contextlib
import copy
import functools
import pickle
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from deepobs import config
from deepobs.errors import ArgumentError, OutputError
from deepobs.plugins.registration import register_again
from deepobs.runs import RunObserver, run, store
from deepobs_bench._main_module import MAIN, changed_code, defined_in_main, packed
from deepobs_bench.failures import (
    Failure,
    Outcome,
    RunStoppedError,
    failure_from,
    find_failure,
    write_failure,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from deepobs.plugins.specs import TargetSpec
    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification
    from deepobs.runs.checkpoints import CheckpointPlan

# Seeds and default types belong to the whole process: runs in two threads would disturb each other.
_one_run_at_a_time = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class RunTask:
    """A run, and all that a worker has to know to execute it."""

    specification: RunSpecification
    # Where the worker writes the result; `None` to only return it.
    output_dir: Path | None = None
    # The planning machine may have other devices: the worker then chooses its own default.
    device_is_open: bool = False
    # What the user set in the planning process, of which a worker knows nothing.
    settings: Mapping[str, Any] = field(default_factory=dict)
    code_directory: str | None = None
    time_limit: float | None = None
    observers: tuple[RunObserver, ...] = ()
    # A run that failed in this sweep is not tried again by another process; earlier ones are.
    failures_since: datetime | None = None
    checkpoints: CheckpointPlan | None = None
    # Among which the batches of the run are divided.
    processes: int = 1
    # Of the main script or notebook, by name.
    definitions: Mapping[str, Any] = field(default_factory=dict)
    # Short names of the user's own classes, which only the planning process gave them.
    registered: tuple[TargetSpec, ...] = ()

    # Here rather than in an executor: all of them pickle tasks, most of them by reference only.
    def __getstate__(self) -> object:
        modules = [type(observer).__module__ for observer in self.observers]
        return packed(vars(self)) if self.definitions or MAIN in modules else vars(self)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, bytes):
            state = pickle.loads(state)  # noqa: S301 # part of the task that our parent sent
        vars(self).update(state)


def execute(task: RunTask) -> Outcome | None:
    """Execute a run, in any process and thread; `None` if another process is executing it.

    Raises:
        OutputError: The outcome cannot be written: no other run's could be, either.
    """
    with _one_run_at_a_time, _as_planned(task), contextlib.ExitStack() as claims:
        is_free, known = _claim(task, claims)
        return _attempt(task) if is_free and known is None else known


def execute_together(tasks: Sequence[RunTask]) -> list[Outcome | None]:
    """Execute runs as one batched model, or one after the other where that is not possible.

    Args:
        tasks: Tasks of one sweep, with one `key_of` and without a `reason_to_run_alone`.

    Returns:
        What `execute` returns for each of them.

    Raises:
        OutputError: An outcome cannot be written.
    """
    with _one_run_at_a_time, _as_planned(tasks[0]), contextlib.ExitStack() as claims:
        found = [_claim(task, claims) for task in tasks]
        left = [
            task
            for task, (is_free, known) in zip(tasks, found, strict=True)
            if is_free and known is None
        ]
        executed = iter(_attempt_together(left))
        return [next(executed) if is_free and known is None else known for is_free, known in found]


def _claim(task: RunTask, claims: contextlib.ExitStack) -> tuple[bool, Outcome | None]:
    """Claim a run where its worker writes the result.

    Returns:
        Whether no other process is executing it, and its outcome if it has one.
    """
    if task.output_dir is None:
        return True, None
    if not claims.enter_context(claimed(task.output_dir, task.specification)):
        return False, None
    # Another process may have finished the run and released its claim just before.
    return True, known_outcome(task.output_dir, task.specification, task.failures_since)


@contextlib.contextmanager
def _as_planned(task: RunTask) -> Iterator[None]:
    """Give this process what the planning process had, inside the block."""
    directory = task.code_directory
    with config.temporary(**task.settings), contextlib.ExitStack() as stack:
        # Only for this run: a worker of a cluster also serves sweeps of other directories.
        if directory is not None and directory not in sys.path:
            sys.path.append(directory)
            stack.callback(sys.path.remove, directory)
        if task.definitions:
            stack.enter_context(defined_in_main(task.definitions))
        register_again(task.registered)
        yield


def _attempt(task: RunTask) -> Outcome:
    """Execute a run; whatever ends it without a result is recorded as its failure."""
    started_at = datetime.now().astimezone()
    try:
        if task.processes == 1:
            return _run(task)
        from deepobs_bench._rank_processes import in_processes

        return in_processes(task.processes, functools.partial(_in_new_process, task))
    except OutputError:
        raise
    except (Exception, SystemExit) as error:  # the code of an optimizer may raise anything
        return _failed(task, error, started_at)


def _attempt_together(tasks: Sequence[RunTask]) -> list[Outcome]:
    """Execute runs as `_attempt` does, together if possible."""
    if len(tasks) < 2:
        return [_attempt(task) for task in tasks]
    started_at = datetime.now().astimezone()
    # Imported here: few sweeps pack runs.
    from deepobs.runs.packing import run_together

    try:
        results = run_together(
            [_specification_here(task) for task in tasks],
            output_dir=tasks[0].output_dir,
            # Each may take as long as all of them would alone: how many are packed is no reason to
            # end a run.
            # Copies, since the events of the runs alternate.
            observers=[
                [copy.copy(one) for one in _observers_of(task, limits=len(tasks))] for task in tasks
            ],
        )
    except OutputError:
        raise
    except (Exception, SystemExit):
        # Whatever it is, the runs on their own tell whose fault it is. Some may have ended before.
        return [_known(task, started_at) or _attempt(task) for task in tasks]
    return [
        _failed(task, one, started_at) if isinstance(one, Exception) else one.record
        for task, one in zip(tasks, results, strict=True)
    ]


def _known(task: RunTask, since: datetime) -> Outcome | None:
    if task.output_dir is None:
        return None
    return known_outcome(task.output_dir, task.specification, since)


def _failed(task: RunTask, error: BaseException, started_at: datetime) -> Failure:
    """Record why a run has no result."""
    from deepobs_bench._worker import printed_by_this_call

    printed = printed_by_this_call()
    failure = failure_from(error, task.specification, started_at, printed=printed)
    if task.output_dir is not None:
        write_failure(task.output_dir, failure)
    return failure


def _in_new_process(task: RunTask) -> RunRecord:
    with _as_planned(task):
        return _run(task)


def _run(task: RunTask) -> RunRecord:
    """Execute a run as this process was told, whatever ends it."""
    return run(
        _specification_here(task),
        output_dir=task.output_dir,
        overwrite=True,  # `execute` looked for the result, under the claim
        observers=_observers_of(task, limits=1),
        checkpoints=task.checkpoints,
    ).record


def _specification_here(task: RunTask) -> RunSpecification:
    """The run on the device of this process, whose code must be that of the plan."""
    specification = task.specification
    if specification.optimizer_source or specification.code:
        _require_same_code(specification)
    if task.device_is_open:
        device = str(config.get_default_device())
        specification = specification.model_copy(update={"device": device})
    return specification


def _observers_of(task: RunTask, *, limits: int) -> list[RunObserver]:
    """The observers of a run; its time limit counts several times."""
    own = [] if task.time_limit is None else [TimeLimit(limits * task.time_limit)]
    return [*own, *task.observers]


def _require_same_code(specification: RunSpecification) -> None:
    # The worker may import another version of the user's module than the planning process did.
    for target in changed_code(specification, in_main=False):
        raise ArgumentError(
            f"The code of {target} in this process differs from that with which the run was "
            "planned. Plan the run again, and copy the module to all workers."
        )


def known_outcome(
    output_dir: Path, specification: RunSpecification, failures_since: datetime | None
) -> Outcome | None:
    """Find the recorded outcome of a run, ignoring failures from before a moment."""
    found = store.find(output_dir, specification)
    if found is not None:
        return found[1]
    return find_failure(output_dir, specification, since=failures_since)


@contextlib.contextmanager
def claimed(output_dir: Path, specification: RunSpecification) -> Iterator[bool]:
    """Claim a run while the block lasts, and yield whether that succeeded.

    Raises:
        OutputError: Files in this directory cannot be locked.
    """
    # A lock of the operating system ends with the process that holds it, however that ends: nothing
    # has to be cleaned up after a `kill -9`.
    directory = store.configuration_directory(output_dir, specification)
    path = directory / f".random_seed__{specification.random_seed}__{specification.run_id}.lock"
    # A claim may be taken in one thread and released in another.
    lock: BaseFileLock = FileLock(path, thread_local=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        raise _no_locks(path, error) from error
    # Without locks, filelock falls back to a file that stays when its holder is killed.
    if isinstance(lock, SoftFileLock):
        lock.release()
        raise _no_locks(path, "the file system has no locks")
    try:
        yield True
        # Others may hold a lock on the deleted file from now on. That does no harm once the result
        # exists: they look for it first. Before, two processes could claim the run.
        if store.find(output_dir, specification) is not None:
            path.unlink(missing_ok=True)
    finally:
        lock.release()


def _no_locks(path: Path, reason: object) -> OutputError:
    return OutputError(
        f"The file {path}, which keeps other processes from executing the same run, cannot be "
        f"locked: {reason}. Choose a directory on a file system with locks."
    )


class TimeLimit(RunObserver):
    """Ends a run that takes too long, at the next report."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def steps_taken(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Check the time."""
        del metrics
        self._check(f"after {steps} steps")

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Check the time."""
        del metrics
        self._check(f"after epoch {epoch}")

    def _check(self, moment: str) -> None:
        if time.monotonic() > self._deadline:
            raise RunStoppedError(
                "time_limit", f"The time limit of {self._seconds:g} s was reached {moment}."
            )
