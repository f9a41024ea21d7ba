"""Handing runs to an executor, some at a time, and taking in what becomes of them."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from typing import TYPE_CHECKING, NamedTuple

from deepobs.errors import DeepOBSError, ExecutorError
from deepobs.runs import store
from deepobs_bench.claims import claimed
from deepobs_bench.outcomes import (
    Failure,
    Outcome,
    RunCrashedError,
    failure_from,
    now,
    write_failure,
)
from deepobs_bench.tasks import RunTask, carry_out, known_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from deepobs.records import RunSpecification

_CAPACITY_OF_STRANGERS = 500
_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_SECONDS_OF_PATIENCE = 5.0


class _Handed(NamedTuple):
    """A run that was handed out.

    Attributes:
        task: The run.
        claim: Lets go of the run, where this process holds the claim.
        at: When it was handed out.
        is_known: Whether its outcome was recorded by another process in the meantime.
    """

    task: RunTask
    claim: contextlib.ExitStack
    at: datetime
    is_known: bool = False


class Dispatch:
    """Hands tasks to an executor and yields their outcomes.

    Where workers write the results, they hold the claims, so that no claim is free as long as
    somebody may still write. Where records come back, this process writes them and holds the
    claims, from handing a task out until its outcome is kept.

    Args:
        executor: Who carries them out.
        output_dir: Where results are kept.
        tell: Called with a sentence for the user, where there is something to know.
    """

    def __init__(self, executor: Executor, output_dir: Path, tell: Callable[[str], None]) -> None:
        self._executor = executor
        self._output_dir = output_dir
        self._tell = tell
        self._running: dict[Future[Outcome | None], _Handed] = {}

    def carry_out(self, tasks: Iterable[RunTask]) -> Generator[tuple[RunSpecification, Outcome]]:
        """Carry out tasks.

        Args:
            tasks: What to do; asked for only as fast as the executor takes them.

        Yields:
            Each run with its outcome, in the order in which they end; last those that other
            processes were at when it was their turn.
        """
        elsewhere: deque[RunTask] = deque()
        if self._capacity() == 0:
            self._tell("There is no worker yet: the runs wait for the first one.")
        try:
            for handed, outcome in self._outcomes(iter(tasks)):
                if outcome is None:
                    elsewhere.append(handed.task)
                else:
                    yield handed.task.specification, outcome
            if elsewhere:
                yield from self._wait_for_others(elsewhere)
        finally:
            self._let_go()

    def _wait_for_others(
        self, elsewhere: deque[RunTask]
    ) -> Iterator[tuple[RunSpecification, Outcome]]:
        """Look again and again at runs that other processes hold; they may also give them up."""
        self._tell(f"Another process is carrying out {len(elsewhere)} of the runs: waiting for it.")
        pause = _SHORTEST_PAUSE
        while elsewhere:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            for handed, outcome in self._outcomes(_emptied(elsewhere)):
                if outcome is None:
                    elsewhere.append(handed.task)
                else:
                    pause = _SHORTEST_PAUSE
                    yield handed.task.specification, outcome

    def _outcomes(self, tasks: Iterator[RunTask]) -> Iterator[tuple[_Handed, Outcome | None]]:
        """Carry out tasks; the outcome is `None` where another process holds the run."""
        while True:
            free = max(1, self._capacity()) - len(self._running)
            for task in itertools.islice(tasks, free):
                self._hand_out(task)
            if not self._running:
                return
            # Meanwhile the executor may have got more workers.
            done, _ = wait(self._running, _SECONDS_OF_PATIENCE, return_when=FIRST_COMPLETED)
            for future in done:
                handed = self._running[future]
                with handed.claim:
                    outcome = self._outcome_of(future, handed)
                    del self._running[future]
                yield handed, outcome

    def _capacity(self) -> int:
        return getattr(self._executor, "capacity", _CAPACITY_OF_STRANGERS)

    def _hand_out(self, task: RunTask) -> None:
        with contextlib.ExitStack() as claim:  # let go of here, unless all of it succeeds
            settled = self._settled(task, claim) if task.output_dir is None else None
            future = settled or self._submitted(task)
            self._running[future] = _Handed(task, claim.pop_all(), now(), settled is not None)

    def _settled(self, task: RunTask, claim: contextlib.ExitStack) -> Future[Outcome | None] | None:
        """Claim a run here; where there is nothing left to do for it, what becomes of it."""
        is_ours = claim.enter_context(claimed(self._output_dir, task.specification))
        outcome = None
        if is_ours:
            outcome = known_outcome(self._output_dir, task.specification, task.failures_since)
            if outcome is None:
                return None
        future: Future[Outcome | None] = Future()
        future.set_result(outcome)
        return future

    def _submitted(self, task: RunTask) -> Future[Outcome | None]:
        try:
            return self._executor.submit(carry_out, task)
        except RuntimeError as error:  # it was shut down, or is broken
            raise _executor_failed(error) from error

    def _outcome_of(self, future: Future[Outcome | None], handed: _Handed) -> Outcome | None:
        """Take in what a worker answers, and keep it where the worker did not."""
        specification = handed.task.specification
        writes_here = handed.task.output_dir is None and not handed.is_known
        try:
            outcome = future.result()
        except RunCrashedError as error:
            outcome = failure_from(
                error, specification, handed.at, printed=error.log, worker=error.worker
            )
            writes_here = True
        except DeepOBSError:
            raise
        except (Exception, CancelledError) as error:  # whatever a stranger's executor raises
            raise _executor_failed(error) from error
        if writes_here and outcome is not None:
            self._keep(specification, outcome)
        return outcome

    def _keep(self, specification: RunSpecification, outcome: Outcome) -> None:
        if isinstance(outcome, Failure):
            write_failure(self._output_dir, outcome)
        else:
            store.write(self._output_dir, specification, outcome)

    def _let_go(self) -> None:
        """Take back what did not start yet, and give up the claims."""
        for future, handed in self._running.items():
            future.cancel()
            handed.claim.close()
        self._running.clear()


def _emptied(tasks: deque[RunTask]) -> Iterator[RunTask]:
    """The tasks that are in a queue now, without those that come back to it meanwhile."""
    for _ in range(len(tasks)):
        yield tasks.popleft()


def _executor_failed(error: BaseException) -> ExecutorError:
    return ExecutorError(
        f"The executor failed: {type(error).__name__}: {error}. All results so far are kept; "
        "start the sweep again to go on."
    )
