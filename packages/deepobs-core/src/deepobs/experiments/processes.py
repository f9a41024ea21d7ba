"""Runs in processes of this machine, where one that dies or hangs harms no other.

The standard library's pool of processes ends as a whole when one of them dies, and knows no time
limits. Here every process has a thread that supervises it and a pipe of its own, so that there is
nothing that a killed process could leave locked.
"""

from __future__ import annotations

import functools
import os
import queue
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs import checks, config
from deepobs.cores import usable_cores
from deepobs.errors import ExecutorError
from deepobs.experiments.supervision import Limit, WorkerProcess
from deepobs.experiments.worker import WorkerSetup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

T = TypeVar("T")

_GRACE_SECONDS = 10.0
"""How much longer than its time limit a run may take before it is killed: it ends itself first."""


class WorkerProcesses(Executor):
    """Carries out calls in processes, each of which lasts for many calls.

    A call whose process dies, or runs out of time, raises `RunCrashedError`; the process is
    replaced.

    Args:
        jobs: How many processes.
        threads: Threads of torch in each; `None` to share out the cores.
        devices: The default devices of the processes, dealt out in turn: four jobs on two devices
            make two jobs on each.
        time_limit: Seconds for a call to end by itself; some more, and it is killed.
        grace: How many more.

    Raises:
        ArgumentError: There is no such device, or a number is out of range.
    """

    shares_directory = True

    def __init__(
        self,
        jobs: int = 1,
        *,
        threads: int | None = None,
        devices: Sequence[str] = (),
        time_limit: float | None = None,
        grace: float = _GRACE_SECONDS,
    ) -> None:
        jobs = checks.integer("jobs", jobs, least=1)
        if threads is not None:
            threads = checks.integer("threads", threads, least=1)
        threads = threads or _share_of_cores(jobs)
        names = [str(config.resolve_device(device)) for device in devices]
        setups = [
            WorkerSetup(threads=threads, device=names[number % len(names)] if names else None)
            for number in range(jobs)
        ]
        self.capacity = 2 * jobs  # the next call is there when one ends
        self._limit = None if time_limit is None else Limit(time_limit, time_limit + grace)
        self._slots = [_Slot(setup, _environment(threads, jobs)) for setup in setups]
        self._free_slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for slot in self._slots:
            self._free_slots.put(slot)
        self._supervisors = ThreadPoolExecutor(jobs, thread_name_prefix="supervisor")

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a call carried out; the function, its arguments and its value are pickled."""
        return self._supervisors.submit(self._call, functools.partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end each process once all calls are done."""
        self._supervisors.shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            for slot in self._slots:
                slot.end()
        else:
            threading.Thread(target=self.shutdown).start()

    def kill_workers(self) -> None:
        """Take no more calls, and end all processes at once, whatever they are doing."""
        self._supervisors.shutdown(wait=False, cancel_futures=True)
        for slot in self._slots:
            slot.kill()
        self.shutdown()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an interruption from the keyboard nobody wants to wait until hours of work are done.
        if error_type is None:
            self.shutdown()
        else:
            self.kill_workers()

    def _call(self, call: Callable[[], T]) -> T:
        slot = self._free_slots.get_nowait()  # as many as there are supervisors: there is one
        try:
            return slot.carry_out(call, self._limit)
        finally:
            self._free_slots.put(slot)


class _Slot:
    """A place for a process, which is started when there is something to do, and replaced.

    Args:
        setup: What the processes are told.
        environment: Their environment variables.
    """

    def __init__(self, setup: WorkerSetup, environment: Mapping[str, str]) -> None:
        self._setup = setup
        self._environment = environment
        self._process: WorkerProcess | None = None
        self._is_closed = False
        self._changing = threading.Lock()  # supervisor and main thread: who sees which process

    def carry_out(self, call: Callable[[], T], limit: Limit | None) -> T:
        """Carry out a call.

        Raises:
            RunCrashedError: Its process died.
            ExecutorError: No process could be started.
            Exception: What the call raised.
        """
        process = self._living_process()
        try:
            process.send(call)
        except BrokenPipeError:  # it died while it had nothing to do
            process = self._living_process()
            process.send(call)
        answer = process.answer(limit)
        if answer.is_last:
            process.end()
        if answer.error is not None:
            raise answer.error
        value: T = answer.value
        return value

    def kill(self) -> None:
        """Kill the process, whatever it is doing, and start no other; for any thread."""
        with self._changing:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()

    def end(self) -> None:
        """Let go of the process, when nobody uses it any more."""
        if self._process is not None:
            self._process.end()

    def _living_process(self) -> WorkerProcess:
        if self._process is not None and self._process.is_alive():
            return self._process
        with self._changing:
            if self._is_closed:
                raise ExecutorError("The worker processes were ended.")
            self.end()
            self._process = WorkerProcess(self._environment)
        self._process.set_up(self._setup)
        return self._process


def _environment(threads: int, jobs: int) -> dict[str, str]:
    """That of this process, with what the workers share among each other."""
    return {
        "DEEPOBS_NUM_WORKERS": str(max(1, usable_cores() // jobs)),
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
    }


def _share_of_cores(jobs: int) -> int:
    """Threads for each of the workers; no more than the user allows every process."""
    share = max(1, usable_cores() // jobs)
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(allowed)) if allowed.isdigit() and int(allowed) else share
