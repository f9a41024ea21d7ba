"""Many runs: those that are missing are handed to an executor, and every outcome is kept."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from deepobs import config
from deepobs.errors import ArgumentError
from deepobs.runs import store
from deepobs.runs.store import ResultIndex
from deepobs_bench.dispatch import Dispatch
from deepobs_bench.outcomes import Failure, Outcome, find_failure, now
from deepobs_bench.tasks import RunTask

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor

    from deepobs.records import RunSpecification
    from deepobs.runs.checkpoints import CheckpointPlan
    from deepobs.runs.observers import RunObserver


class Sweep:
    """Carries out runs on an executor, each of them once, whoever else works in the directory.

    Args:
        executor: Any executor. Its `capacity`, where it has one, is how many runs are handed out
            at a time; its `shares_directory` says whether its workers can write the results.
        output_dir: Where results are kept.
        shared_results: Whether workers write the results; else the records come back and are
            written here. `None` to do as the executor can.
        device_is_open: Run on each worker's default device, whatever the specifications say.
        time_limit: Seconds after which a run is ended, which is its outcome.
        observers: Told what happens in a run; they are pickled where the executor does that.
        skip_failed: Leave out runs that failed in earlier sweeps: their failure is the outcome.
        checkpoints: When to keep the states of runs, and whether to go on from them.
        tell: Called with a sentence for the user, where there is something to know.

    Raises:
        ArgumentError: There are to be checkpoints, but workers do not write into `output_dir`.
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
        observers: Sequence[RunObserver] = (),
        skip_failed: bool = False,
        checkpoints: CheckpointPlan | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.output_dir = Path(output_dir).resolve()
        self._executor = executor
        self._workers_write = (
            getattr(executor, "shares_directory", False)
            if shared_results is None
            else shared_results
        )
        self._device_is_open = device_is_open
        self._time_limit = time_limit
        self._observers = tuple(observers)
        self._tell = tell
        self._began_at = now()
        self._skip_failed = skip_failed
        self._checkpoints = checkpoints
        if checkpoints is not None and not self._workers_write:
            raise ArgumentError(
                "Checkpoints lie beside the results, which come back from these workers only when "
                "they are whole. Let workers write into a shared directory (--shared-results), or "
                "do without."
            )
        self._failed: dict[str, Failure] = {}
        store.prepare(self.output_dir)
        if self._workers_write and hasattr(executor, "require_shared"):
            executor.require_shared(self.output_dir)

    def missing(self, specifications: Iterable[RunSpecification]) -> list[RunSpecification]:
        """Those of some runs that have no result yet, each once."""
        index = ResultIndex(self.output_dir)
        return [each for each in _distinct(specifications) if index.find(each) is None]

    def carry_out(
        self, specifications: Iterable[RunSpecification], *, observers: Sequence[RunObserver] = ()
    ) -> Iterator[tuple[RunSpecification, Outcome]]:
        """Carry out the runs that have no result yet.

        What failed is tried again in another sweep, but not in this one. When the caller stops
        iterating, nothing more is handed out.

        Args:
            specifications: The runs; one that comes twice is carried out once.
            observers: Told what happens in these runs, besides those of the sweep.

        Yields:
            Every run once, with its outcome: first those that are there, then the others in the
            order in which they end.

        Raises:
            OutputError: Results cannot be written.
            ExecutorError: The executor failed. What was done is kept.
        """
        missing = []
        index = ResultIndex(self.output_dir)
        for specification in _distinct(specifications):
            known = self._known(specification, index)
            if known is None:
                missing.append(specification)
            else:
                yield specification, known
        dispatch = Dispatch(self._executor, self.output_dir, self._tell)
        tasks = (self._task(specification, observers) for specification in missing)
        with contextlib.closing(dispatch.carry_out(tasks)) as outcomes:
            for specification, outcome in outcomes:
                if isinstance(outcome, Failure):
                    self._failed[specification.run_id] = outcome
                yield specification, outcome

    def _known(self, specification: RunSpecification, index: ResultIndex) -> Outcome | None:
        path = index.find(specification)
        if path is not None:
            with contextlib.suppress(ValidationError, OSError):  # broken after all, or gone
                return store.read(path)
        if self._skip_failed:
            return find_failure(self.output_dir, specification)
        return self._failed.get(specification.run_id)

    def _task(self, specification: RunSpecification, observers: Sequence[RunObserver]) -> RunTask:
        here = str(Path.cwd())
        return RunTask(
            specification=specification,
            output_dir=self.output_dir if self._workers_write else None,
            device_is_open=self._device_is_open,
            settings=config.chosen(),
            code_directory=here if here in sys.path else None,
            time_limit=self._time_limit,
            observers=(*self._observers, *observers),
            failures_since=None if self._skip_failed else self._began_at,
            checkpoints=self._checkpoints,
        )


def _distinct(specifications: Iterable[RunSpecification]) -> Iterable[RunSpecification]:
    return {each.run_id: each for each in specifications}.values()
