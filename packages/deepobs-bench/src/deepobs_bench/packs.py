"""Worker processes that train runs together which differ in their hyperparameters alone."""

from __future__ import annotations

import functools
import math
from collections import Counter
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs.console.text import counted
from deepobs.runs.packing import key_of, reason_of_problem, reason_to_run_alone
from deepobs_bench._tasks import execute, execute_together
from deepobs_bench.failures import RunStoppedError
from deepobs_bench.processes import Limit, WorkerProcesses, limit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from deepobs.run_specifications import RunSpecification
    from deepobs_bench._tasks import RunTask

    Submitted = tuple[RunTask, Future[Any]]

T = TypeVar("T")


class PackedProcesses(WorkerProcesses):
    """Worker processes, each of which executes a pack of runs at a time.

    Runs wait until their pack is full, or for `flush`. Other calls, and runs that cannot be
    packed, are executed on their own.

    Args:
        jobs: Number of processes.
        size: Runs of a pack at most.
        seconds: Seconds after which a run should have ended; `None` for no limit.
        options: Those of `WorkerProcesses`.
    """

    def __init__(
        self,
        jobs: int = 1,
        *,
        size: int,
        seconds: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(jobs, limit=limit_of(seconds), **options)
        self.capacity = (jobs + 1) * size
        self._size = size
        self._key = ""
        self._waiting: list[Submitted] = []

    @staticmethod
    def arranged(specifications: Iterable[RunSpecification]) -> list[RunSpecification]:
        """The order in which runs are to be submitted: those of a pack one after the other."""
        keys: dict[str, list[RunSpecification]] = {}
        for each in specifications:
            keys.setdefault(key_of(each), []).append(each)
        return [each for members in keys.values() for each in members]

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Submit a call; the function, its arguments and its value are pickled."""
        if fn is not execute or reason_of_task(args[0]):
            return super().submit(fn, *args, **kwargs)
        task: RunTask = args[0]
        key = key_of(task.specification)
        if key != self._key:
            self.flush()
        self._key = key
        future: Future[T] = Future()
        self._waiting.append((task, future))
        if len(self._waiting) >= self._size:
            self.flush()
        return future

    def flush(self) -> None:
        """Execute the runs that wait for others."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._supervisors.submit(self._execute, waiting)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, and end each process once all calls are done."""
        if not cancel_futures:
            self.flush()
        super().shutdown(wait, cancel_futures=cancel_futures)

    def kill_workers(self) -> None:
        """Accept no more calls, and end all processes in the middle of their work."""
        self._waiting = []
        super().kill_workers()

    def _execute(self, pack: Sequence[Submitted]) -> None:
        """Execute a pack; the runs of one whose process dies are tried one by one."""
        pack = [each for each in pack if each[1].set_running_or_notify_cancel()]
        if not pack:
            return
        call = functools.partial(execute_together, [task for task, _ in pack])
        try:
            outcomes = self._call(call, _times(len(pack), self._limit))
        except RunStoppedError as error:
            if len(pack) == 1 or error.kind != "crash":
                _end(pack, error)
                return
            for task, future in pack:
                try:
                    future.set_result(self._call(functools.partial(execute, task), self._limit))
                except Exception as own:
                    future.set_exception(own)
        except BaseException as error:
            _end(pack, error)
        else:
            for (_, future), outcome in zip(pack, outcomes, strict=True):
                future.set_result(outcome)


def _end(pack: Sequence[Submitted], error: BaseException) -> None:
    for _, future in pack:
        future.set_exception(error)


def _times(factor: int, limit: Limit | None) -> Limit | None:
    return limit and limit_of(factor * limit.seconds)


def reason_of_task(task: RunTask) -> str:
    """Why a run is executed alone; empty if it is not."""
    if task.checkpoints is not None:
        return "it writes checkpoints"
    if task.processes > 1:
        return "it is divided among processes"
    return reason_to_run_alone(task.specification)


def packs_in_words(
    pending: Iterable[RunSpecification],
    tuned: Iterable[RunSpecification],
    size: int,
    *,
    reason: str = "",
) -> str:
    """Say how many runs are trained together, and which are not, for what reason.

    Args:
        pending: The runs.
        tuned: Examples of the runs of tunings.
        size: Runs of a pack at most.
        reason: Why none of them can be packed, if so.
    """
    problems: dict[tuple[str, ...], str] = {}

    def reason_of(run: RunSpecification) -> str:
        kind = (run.testproblem, run.dtype, run.device)
        if own := reason or reason_to_run_alone(run):
            return own
        if kind not in problems:
            problems[kind] = reason_of_problem(run)
        return problems[kind]

    sizes, alone, of_tunings = Counter[str](), Counter[tuple[str, str]](), set()
    for run in pending:
        if own := reason_of(run):
            alone[f"{run.optimizer} on {run.testproblem}", own] += 1
        else:
            sizes[key_of(run)] += 1
    for run in tuned:
        if own := reason_of(run):
            of_tunings.add(f"{run.optimizer} on {run.testproblem}: {own}")
    together = {key: number for key, number in sizes.items() if number > 1}
    packs = sum(math.ceil(number / size) for number in together.values())
    num_single = len(sizes) - len(together)
    parts = [
        f"{counted(sum(together.values()), 'run')} in {counted(packs, 'pack')} of up to {size}, "
        "which are trained as one model each"
    ]
    for (name, own), number in alone.items():
        parts.append(f"{counted(number, 'run')} of {name} alone: {own}")
    if num_single:
        parts.append(
            f"{counted(num_single, 'run')} alone: no other run differs in hyperparameters only"
        )
    parts += [f"runs of tunings alone: {text}" for text in sorted(of_tunings)]
    return f"{'; '.join(parts)}."
