"""Hands runs to an executor and takes their outcomes, whatever becomes of its workers."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections import deque
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from deepobs import checks
from deepobs.console.text import counted, duration
from deepobs.errors import ArgumentError, DeepOBSError, first_line_of, message_of
from deepobs.runs import store
from deepobs_bench._tasks import RunTask, claimed, execute, known_outcome
from deepobs_bench._worker import preload
from deepobs_bench.failures import (
    ExecutorError,
    Failure,
    Outcome,
    RunStoppedError,
    failure_from,
    write_failure,
)
from deepobs_bench.pools import RebuildablePool, require_executor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification

_DEFAULT_CAPACITY = 500  # of executors that do not say how many runs to submit at a time
_CAPACITY_SECONDS = 5.0


class Silence:
    """How long no run has ended.

    Args:
        limit: How many seconds are permitted; `None` for any number.

    Raises:
        ArgumentError: The limit is no positive number.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = math.inf if limit is None else _positive(limit)
        self._seconds = 0.0

    @property
    def seconds_left(self) -> float:
        """Seconds until the limit."""
        return max(0.0, self._limit - self._seconds)

    def ends(self) -> None:
        """A run has ended."""
        self._seconds = 0.0

    def lasts(self, seconds: float, num_runs: int) -> None:
        """Add to it, while a number of runs is waited for.

        Raises:
            ExecutorError: It exceeds the limit.
        """
        self._seconds += seconds
        if self._seconds >= self._limit:
            raise ExecutorError(
                f"No run has ended for {duration(self._limit)}, the limit of silence, and "
                f"{counted(num_runs, 'run')} did not end: workers may be lost. All results so far "
                "are kept; start the sweep again to continue, with a higher limit if runs take "
                "longer than that."
            )


class Dispatcher:
    """Submits runs to an executor, and keeps their outcomes unless workers do.

    Args:
        executor: The executor.
        output_dir: The directory of results.
        workers_write: Whether workers write the results there; they then hold the claims, too.
        silence: How long no run has ended.
        tell: Called with messages for the user.

    Raises:
        ArgumentError: The executor is none.
    """

    def __init__(
        self,
        executor: Executor,
        output_dir: Path,
        *,
        workers_write: bool,
        silence: Silence,
        tell: Callable[[str], None],
    ) -> None:
        self._executor = require_executor(executor)
        self._pool = executor if isinstance(executor, RebuildablePool) else None
        self._output_dir = output_dir
        self._workers_write = workers_write
        self._silence = silence
        self._tell = tell
        self._is_broken = False  # it has lost a run since it was built

    @property
    def has_workers(self) -> bool:
        """Whether there is a worker by now."""
        return bool(getattr(self._executor, "capacity", _DEFAULT_CAPACITY))

    def outcomes(self, tasks: Iterator[RunTask]) -> Generator[tuple[RunSpecification, Outcome]]:
        """Yield the outcomes of tasks as runs end; skip runs that other processes hold."""
        running: dict[Future[Outcome | None], _Submitted] = {}
        lost: deque[RunTask] = deque()
        flush = getattr(self._executor, "flush", None)
        try:
            while True:
                capacity = max(1, getattr(self._executor, "capacity", _DEFAULT_CAPACITY))
                if not lost:
                    for task in itertools.islice(tasks, capacity - len(running)):
                        if not self._submit(task, running):
                            lost.append(task)
                            break
                elif not running:  # one alone: if it is lost again, it is to blame
                    self._rebuild()
                    self._submit(lost.popleft(), running, is_last_try=True)
                if not running and not lost:
                    return
                if flush is not None and len(running) < capacity:
                    flush()
                done = self._wait(running)
                for future in done:
                    submitted = running[future]
                    # Released once the outcome is kept: the next process to claim the run finds it.
                    with submitted.claim:
                        del running[future]
                        try:
                            outcome = self._outcome_of(future, submitted)
                        except _LostRunError as error:
                            self._take_note_of_loss(error.reason)
                            lost.append(submitted.task)
                            continue
                    if outcome is not None:
                        self._silence.ends()
                        yield submitted.task.specification, outcome
        finally:
            # Also when the caller stops iterating: what has not begun must not begin later.
            for future, submitted in running.items():
                with contextlib.suppress(NotImplementedError):  # futures of parsl cannot
                    future.cancel()
                submitted.claim.close()

    def _submit(
        self,
        task: RunTask,
        running: dict[Future[Outcome | None], _Submitted],
        *,
        is_last_try: bool = False,
    ) -> bool:
        """Submit a task; `False` if the executor cannot, but can be rebuilt."""
        # If workers write the results, they hold the claims, so that no claim is free while
        # somebody may still write. Otherwise, this process writes and claims.
        with contextlib.ExitStack() as claim:  # released here, unless all succeeds
            settled = None if self._workers_write else self._settled(task, claim)
            try:
                future = settled or self._executor.submit(execute, task)
            except DeepOBSError:
                raise
            except Exception as error:  # it was shut down, or is broken
                if is_last_try or self._pool is None:
                    raise _executor_failed(error) from error
                self._take_note_of_loss(error)
                return False
            running[future] = _Submitted(
                task,
                claim.pop_all(),
                datetime.now().astimezone(),
                is_settled=settled is not None,
                is_last_try=is_last_try,
            )
        return True

    def _wait(self, running: Iterable[Future[Any]]) -> set[Future[Any]]:
        """Wait for the end of a run, not for long: a cluster may get more workers meanwhile."""
        futures = set(running)
        began = time.monotonic()
        seconds = min(_CAPACITY_SECONDS, self._silence.seconds_left)
        done, _ = wait(futures, seconds, return_when=FIRST_COMPLETED)
        if not done:
            self._silence.lasts(time.monotonic() - began, len(futures))
        return done

    def _take_note_of_loss(self, error: BaseException) -> None:
        if not self._is_broken:
            self._tell(
                f"The executor lost a run: {first_line_of(error)}. It is built anew, and each lost "
                "run is tried once more, alone."
            )
        self._is_broken = True

    def _rebuild(self) -> None:
        if self._is_broken and self._pool is not None:
            self._pool.rebuild()
            self._is_broken = False

    def _lost_twice(self, error: BaseException, submitted: _Submitted) -> Failure:
        """The failure of a run that was lost alone, provided that the executor executes others.

        Raises:
            ExecutorError: It does not.
        """
        self._is_broken = True
        self._rebuild()
        try:
            probe: Future[Any] = self._executor.submit(preload)
            while not self._wait([probe]):
                pass
            probe.result()
        except DeepOBSError:
            raise
        except Exception as another:
            raise _executor_failed(another) from another
        stopped = RunStoppedError(
            "crash",
            "The run was lost twice, the second time when it was executed alone: "
            f"{message_of(error)}",
        )
        return failure_from(stopped, submitted.task.specification, submitted.at, worker="")

    def _settled(self, task: RunTask, claim: contextlib.ExitStack) -> Future[Outcome | None] | None:
        """Claim a run for this process; its future if nothing is left to do for it."""
        outcome = None
        if claim.enter_context(claimed(self._output_dir, task.specification)):
            outcome = known_outcome(self._output_dir, task.specification, task.failures_since)
            if outcome is None:
                return None
        future: Future[Outcome | None] = Future()
        future.set_result(outcome)
        return future

    def _outcome_of(self, future: Future[Outcome | None], submitted: _Submitted) -> Outcome | None:
        """Take the answer of a worker, and keep the outcome unless the worker did."""
        specification = submitted.task.specification
        writes_here = not self._workers_write and not submitted.is_settled
        try:
            outcome = future.result()
        except RunStoppedError as error:
            outcome = failure_from(
                error, specification, submitted.at, printed=error.log, worker=error.worker
            )
            writes_here = True  # the worker could not
        except DeepOBSError:
            raise
        except (Exception, CancelledError) as error:  # other executors may raise anything
            if self._pool is None:
                raise _executor_failed(error) from error
            if not submitted.is_last_try:
                raise _LostRunError(error) from error
            outcome = self._lost_twice(error, submitted)
            writes_here = True
        if not writes_here or outcome is None:
            return outcome
        if isinstance(outcome, Failure):
            write_failure(self._output_dir, outcome)
        else:
            store.write(self._output_dir, specification, outcome.to_json())
        return outcome


class _Submitted(NamedTuple):
    """A run that was submitted.

    Attributes:
        task: The run.
        claim: Releases it, if this process holds the claim.
        at: When it was submitted.
        is_settled: Whether nothing was left to do for it.
        is_last_try: Whether it was lost before.
    """

    task: RunTask
    claim: contextlib.ExitStack
    at: datetime
    is_settled: bool
    is_last_try: bool


class _LostRunError(Exception):
    """An executor that can be rebuilt lost a run, which is to be tried once more."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(reason)
        self.reason = reason


def _positive(limit: object) -> float:
    if not checks.is_number(limit) or not limit > 0:
        raise ArgumentError(f"silence_limit must be a positive number of seconds, got {limit!r}.")
    return limit


def _executor_failed(error: BaseException) -> ExecutorError:
    advice = ""
    if isinstance(error, BrokenExecutor):
        advice = " A sweep on RebuildablePool(make), where make returns such an executor, goes on."
    return ExecutorError(
        f"The executor failed: {message_of(error)}. All results so far are kept; "
        f"start the sweep again to continue.{advice}"
    )
