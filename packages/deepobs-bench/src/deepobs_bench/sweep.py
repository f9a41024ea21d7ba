"""Sweeps: many runs, of which the pending ones are handed to an executor."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from deepobs import checks, config
from deepobs.errors import ArgumentError, DeepOBSError
from deepobs.plugins.registration import registered
from deepobs.runs import store
from deepobs_bench._dispatch import Dispatcher, Silence
from deepobs_bench._main_module import definitions_of
from deepobs_bench._tasks import RunTask
from deepobs_bench.failures import Failure, Outcome, find_failure
from deepobs_bench.interrupted_runs import interrupted, with_checkpoints
from deepobs_bench.pools import require_executor
from deepobs_bench.result_index import ResultIndex

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor

    from deepobs.run_specifications import RunSpecification
    from deepobs.runs import RunObserver
    from deepobs.runs.checkpoints import CheckpointPlan

    class Notify(Protocol):
        """Is called with the outcome of every run, and whether it was done before."""

        def __call__(
            self, specification: RunSpecification, outcome: Outcome, /, *, was_done: bool
        ) -> None:
            """Take note of an outcome."""


_MIN_PAUSE = 0.2
_MAX_PAUSE = 10.0


class BudgetSpentError(DeepOBSError):
    """The time is up, and runs are still pending."""


def _ignore(_: RunSpecification, __: Outcome, /, *, was_done: bool) -> None:
    del was_done


class Sweep:
    """Executes runs, each of them once, whatever other sweeps work in the same directory.

    Args:
        executor: Any `concurrent.futures.Executor`. Its `capacity`, if it has one, is how many runs
            are submitted at a time; its `shares_directory` says whether its workers can write the
            results. One that executes several runs at once has `arranged`, which returns runs in
            the order in which they are submitted, and `flush`, which is called when no more are.
            A `RebuildablePool` may lose runs: each of them is tried once more, alone.
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
        silence_limit: Seconds without the end of any run after which the sweep fails, since workers
            may be lost; `None` for no limit.
        notify: Called with every run, its outcome, and `was_done`: whether it was done before.
        tell: Called with messages for the user.

    Raises:
        ArgumentError: The executor is none, or checkpoints are requested, but workers do not write
            into `output_dir`.
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
        silence_limit: float | None = None,
        notify: Notify = _ignore,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.output_dir = Path(output_dir).resolve()
        self._executor = require_executor(executor)
        self._silence = Silence(silence_limit)
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
        self._dispatcher = Dispatcher(
            executor,
            self.output_dir,
            workers_write=self._workers_write,
            silence=self._silence,
            tell=tell,
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
        if not self._dispatcher.has_workers:
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
            with contextlib.closing(self._dispatcher.outcomes(tasks)) as outcomes:
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
            self._silence.lasts(pause, len(pending))
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


def _with_definitions(task: Callable[..., RunTask], specification: RunSpecification) -> RunTask:
    # Without code of one's own, nothing can be of the main module.
    if not (specification.optimizer_source or specification.code):
        return task(specification=specification)
    return task(specification=specification, definitions=definitions_of(specification))
