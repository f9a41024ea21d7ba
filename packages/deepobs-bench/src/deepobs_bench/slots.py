"""Places for worker processes: a process is started when there is something to do, and replaced."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, TypeVar

from deepobs.errors import ExecutorError
from deepobs.resources import usable_cores
from deepobs_bench.supervision import KilledAtStartError, Limit, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_bench.worker import WorkerSetup

T = TypeVar("T")

_GRACE_SECONDS = 10.0
_STARTS = 3
"""How many processes are tried that somebody kills before they have a call."""


def limit_of(time_limit: float | None, grace: float = _GRACE_SECONDS) -> Limit | None:
    """When a call is killed: some time after it should have ended by itself.

    Args:
        time_limit: Seconds until a call should end by itself; `None` where that does not matter.
        grace: How many seconds more it gets.
    """
    return None if time_limit is None else Limit(time_limit, time_limit + grace)


class WorkerSlot:
    """A place for a process, which is started when there is something to do, and replaced.

    Args:
        setup: What the processes are told.
        jobs: Among how many processes the machine is shared.
    """

    def __init__(self, setup: WorkerSetup, *, jobs: int = 1) -> None:
        self._setup = setup
        self._environment = _environment(setup.threads, jobs)
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
        process = self._process_with(call)
        answer = process.answer(limit)
        if answer.is_last:
            process.end()
        if answer.error is not None:
            raise answer.error
        value: T = answer.value
        return value

    def dismiss(self) -> None:
        """Let the process end in the middle of its work, and start no other; for any thread."""
        with self._changing:
            self._is_closed = True
            if self._process is not None:
                self._process.dismiss()

    def end(self) -> None:
        """Let go of the process, when nobody uses it any more."""
        if self._process is not None:
            self._process.end()

    def _process_with(self, call: Callable[[], T]) -> WorkerProcess:
        """A process that was sent a call; one that died while it had nothing to do is replaced."""
        for _ in range(_STARTS - 1):
            with contextlib.suppress(KilledAtStartError, BrokenPipeError):
                return self._sent(call)
            self.end()
        return self._sent(call)

    def _sent(self, call: Callable[[], T]) -> WorkerProcess:
        process = self._living_process()
        process.send(call)
        return process

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
