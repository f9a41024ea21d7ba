"""Sweeps: many runs, of which the pending ones are handed to an executor."""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
import time
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pydantic import ValidationError

from deepobs import checks, config
from deepobs.errors import ArgumentError, DeepOBSError, message_of
from deepobs.plugins.registration import registered
from deepobs.runs import store
from deepobs_bench._main_module import definitions_of
from deepobs_bench._tasks import RunTask, claimed, execute, known_outcome
from deepobs_bench.failures import (
    ExecutorError,
    Failure,
    Outcome,
    RunStoppedError,
    failure_from,
    find_failure,
    write_failure,
)
from deepobs_bench.interrupted_runs import interrupted, with_checkpoints
from deepobs_bench.result_index import ResultIndex

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from deepobs.run_specifications import RunSpecification
    from deepobs.runs import RunObserver
    from deepobs.runs.checkpoints import CheckpointPlan

    class Notify(Protocol):
        """Is called with the outcome of every run, and whether it was done before."""

        def __call__(
            self, specification: RunSpecification, outcome: Outcome, /, *, was_done: bool
        ) -> None:
            """Take note of an outcome."""


_DEFAULT_CAPACITY = 500  # of executors that do not say how many runs to submit at a time
_MIN_PAUSE = 0.2
_MAX_PAUSE = 10.0
_CAPACITY_SECONDS = 5.0


class BudgetSpentError(DeepOBSError):
    """The time is up, and runs are still pending."""


def _ignore(_: RunSpecification, __: Outcome, /, *, was_done: bool) -> None:
    del was_done


class Sweep:
    """Executes runs, each of them once, whatever other sweeps work in the same directory.

    Args:
        executor: Any executor. Its `capacity`, if it has one, is how many runs are submitted at a
            time; its `shares_directory` says whether its workers can write the results. One that
            executes several runs at once has `arranged`, which returns runs in the order in which
            they are submitted, and `flush`, which is called when no more are.
        output_dir: The directory of results.
        shared_results: Whether workers write the results; otherwise the records are returned and
            written by this process. `None` to do what the executor can.
        device_is_open: Run on each worker's default device instead of the specified one.
        time_limit: Seconds after which a run is ended and recorded as a failure.
        processes_per_run: Processes among which the batches of each run are divided.
        observers: Observers of the runs; they are pickled if the executor does that.
        skip_failed: Skip runs that failed in earlier sweeps: their failure is the outcome.
        checkpoints: When to save checkpoints, and whether to resume from them.
        seconds: Start no more runs after this time; `None` for no limit.
        notify: Called with every run, its outcome, and `was_done`: whether it was done before.
        tell: Called with messages for the user.

    Raises:
        ArgumentError: Checkpoints are requested, but workers do not write into `output_dir`.
        OutputError: Results cannot be written there.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        output_dir: str | os.PathLike[str],
        shared_results: bool | None = None,
        device_is_open: bool = False,
        time_limit: float | None = None,
        processes_per_run: int = 1,
        observers: Sequence[RunObserver] = (),
        skip_failed: bool = False,
        checkpoints: CheckpointPlan | None = None,
        seconds: float | None = None,
        notify: Notify = _ignore,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.output_dir = Path(output_dir).resolve()
        self._executor = executor
        self._workers_write = (
            getattr(executor, "shares_directory", False)
            if shared_results is None
            else shared_results
        )
        self._observers = tuple(observers)
        self._skip_failed = skip_failed
        self._notify = notify
        self._tell = tell
        self._checkpoints = checkpoints
        self._deadline = None if seconds is None else time.monotonic() + seconds
        # What all tasks share; the rest is known only when runs are executed.
        self._task = functools.partial(
            RunTask,
            output_dir=self.output_dir if self._workers_write else None,
            device_is_open=device_is_open,
            time_limit=time_limit,
            processes=checks.integer("processes_per_run", processes_per_run, least=1),
            failures_since=None if skip_failed else datetime.now().astimezone(),
            checkpoints=checkpoints,
        )
        if checkpoints is not None and not self._workers_write:
            raise ArgumentError(
                "Checkpoints are kept beside the results, but these workers return only finished "
                "results. Let workers write into a shared directory (--shared-results), or do "
                "without checkpoints."
            )
        self._failed: dict[str, Failure] = {}
        store.prepare(self.output_dir)
        if self._workers_write and hasattr(executor, "require_shared"):
            executor.require_shared(self.output_dir)

    def pending(self, specifications: Iterable[RunSpecification]) -> list[RunSpecification]:
        """The distinct runs that have no result yet."""
        index = ResultIndex(self.output_dir)
        distinct = {each.run_id: each for each in specifications}.values()
        return [each for each in distinct if index.path_of(each) is None]

    def execute(
        self, specifications: Iterable[RunSpecification], *, observers: Sequence[RunObserver] = ()
    ) -> Iterator[tuple[RunSpecification, Outcome]]:
        """Execute the runs that have no result yet.

        A run that failed is tried again in another sweep, but not in this one. When the caller
        stops iterating, nothing more is submitted.

        Args:
            specifications: The runs; duplicates are executed once.
            observers: Observers of these runs, besides those of the sweep.

        Yields:
            Every run once, with its outcome: first those that are done, then the others in the
            order in which they end.

        Raises:
            BudgetSpentError: The time is up, and runs are pending.
            OutputError: Results cannot be written.
            ExecutorError: The executor failed. Results so far are kept.
        """
        pending = {each.run_id: each for each in specifications}
        yield from self._known(pending)
        if not pending:
            return
        if not getattr(self._executor, "capacity", _DEFAULT_CAPACITY):
            self._tell("There is no worker yet: the runs wait for the first one.")
        if self._checkpoints is not None:
            those = interrupted(pending.values(), self.output_dir)
            if text := with_checkpoints(those, resumes=self._checkpoints.resume):
                self._tell(text)
        # Workers import the user's modules from here only if this process does so, too.
        here = str(Path.cwd())
        task = functools.partial(
            self._task,
            settings=config.chosen(),
            registered=registered(),
            code_directory=here if here in sys.path else None,
            observers=(*self._observers, *observers),
        )
        pause, is_waiting = _MIN_PAUSE, False
        while True:
            arranged = getattr(self._executor, "arranged", tuple)(pending.values())
            tasks = (_with_definitions(task, each) for each in arranged)
            with contextlib.closing(self._dispatch(tasks)) as outcomes:
                for specification, outcome in outcomes:
                    # Tuning may ask for the run again, and must not spend its time a second time.
                    if isinstance(outcome, Failure):
                        self._failed[specification.run_id] = outcome
                    del pending[specification.run_id]
                    self._notify(specification, outcome, was_done=False)
                    yield specification, outcome
                    # After the yield: the caller has seen the outcome, and nothing new begins.
                    if pending and self._deadline is not None and time.monotonic() > self._deadline:
                        raise BudgetSpentError("The time is up.")
                    pause = _MIN_PAUSE
            if not pending:
                return
            # Other processes hold the rest. One that is killed tells nobody, but frees its claims:
            # the runs are done, or left to us, once claiming them succeeds.
            if not is_waiting:
                self._tell(
                    f"Another process is executing {len(pending)} of the runs: waiting for it."
                )
                is_waiting = True
            time.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE)

    def _known(
        self, pending: dict[str, RunSpecification]
    ) -> Iterator[tuple[RunSpecification, Outcome]]:
        """Yield runs whose outcome is known, and remove them from the pending ones."""
        index = ResultIndex(self.output_dir)
        # All of them before any work: the table of a repeated sweep is immediate.
        for run_id, specification in tuple(pending.items()):
            known: Outcome | None = None
            path = index.find(specification)
            if path is not None:
                with contextlib.suppress(ValidationError, OSError):  # broken after all, or deleted
                    known = store.read(path)
            if known is None:
                known = (
                    find_failure(self.output_dir, specification)
                    if self._skip_failed
                    else self._failed.get(run_id)
                )
            if known is not None:
                del pending[run_id]
                self._notify(specification, known, was_done=True)
                yield specification, known

    def _dispatch(self, tasks: Iterator[RunTask]) -> Generator[tuple[RunSpecification, Outcome]]:
        """Yield the outcomes of tasks as runs end; skip runs that other processes hold."""
        running: dict[Future[Outcome | None], _Submitted] = {}
        flush = getattr(self._executor, "flush", None)
        try:
            while True:
                capacity = getattr(self._executor, "capacity", _DEFAULT_CAPACITY)
                for task in itertools.islice(tasks, max(1, capacity) - len(running)):
                    # If workers write the results, they hold the claims, so that no claim is free
                    # while somebody may still write. Otherwise, this process writes and claims.
                    with contextlib.ExitStack() as claim:  # released here, unless all succeeds
                        settled = None if self._workers_write else self._settled(task, claim)
                        try:
                            future = settled or self._executor.submit(execute, task)
                        except RuntimeError as error:  # it was shut down, or is broken
                            raise _executor_failed(error) from error
                        at = datetime.now().astimezone()
                        running[future] = _Submitted(task, claim.pop_all(), at, settled is not None)
                if not running:
                    return
                if flush is not None and len(running) < max(1, capacity):
                    flush()
                # With a timeout, since a cluster may get more workers meanwhile.
                done, _ = wait(running, _CAPACITY_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    submitted = running[future]
                    # Released once the outcome is kept: the next process to claim the run finds it.
                    with submitted.claim:
                        outcome = self._outcome_of(future, submitted)
                        del running[future]
                    if outcome is not None:
                        yield submitted.task.specification, outcome
        finally:
            # Also when the caller stops iterating: what has not begun must not begin later.
            for future, submitted in running.items():
                future.cancel()
                submitted.claim.close()

    def _settled(self, task: RunTask, claim: contextlib.ExitStack) -> Future[Outcome | None] | None:
        """Claim a run for this process; its future if nothing is left to do for it."""
        outcome = None
        if claim.enter_context(claimed(self.output_dir, task.specification)):
            outcome = known_outcome(self.output_dir, task.specification, task.failures_since)
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
            raise _executor_failed(error) from error
        if not writes_here or outcome is None:
            return outcome
        if isinstance(outcome, Failure):
            write_failure(self.output_dir, outcome)
        else:
            store.write(self.output_dir, specification, outcome.to_json())
        return outcome


def _with_definitions(task: Callable[..., RunTask], specification: RunSpecification) -> RunTask:
    # Without code of one's own, nothing can be of the main module.
    if not (specification.optimizer_source or specification.code):
        return task(specification=specification)
    return task(specification=specification, definitions=definitions_of(specification))


class _Submitted(NamedTuple):
    """A run that was submitted: `claim` releases it, if this process holds the claim."""

    task: RunTask
    claim: contextlib.ExitStack
    at: datetime
    is_settled: bool


def _executor_failed(error: BaseException) -> ExecutorError:
    return ExecutorError(
        f"The executor failed: {message_of(error)}. All results so far are kept; "
        "start the sweep again to continue."
    )
