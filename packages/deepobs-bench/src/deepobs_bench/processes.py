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
from deepobs.resources import usable_cores
from deepobs_bench.slots import WorkerSlot
from deepobs_bench.worker import WorkerSetup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from deepobs_bench.supervision import Limit

T = TypeVar("T")


class WorkerProcesses(Executor):
    """Carries out calls in processes, each of which lasts for many calls.

    A call whose process dies, or runs out of time, raises `RunCrashedError`; the process is
    replaced.

    Args:
        jobs: How many processes.
        threads: Threads of torch in each; `None` to share out the cores.
        devices: The default devices of the processes, dealt out in turn: four jobs on two devices
            make two jobs on each.
        limit: When a call is killed; `None` for never.

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
        limit: Limit | None = None,
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
        self._limit = limit
        self._slots = [WorkerSlot(setup, jobs=jobs) for setup in setups]
        self._free_slots: queue.SimpleQueue[WorkerSlot] = queue.SimpleQueue()
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
            slot.dismiss()
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


def _share_of_cores(jobs: int) -> int:
    """Threads for each of the workers; no more than the user allows every process."""
    share = max(1, usable_cores() // jobs)
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(allowed)) if allowed.isdigit() and int(allowed) else share
