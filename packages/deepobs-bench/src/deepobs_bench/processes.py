"""Worker processes on this machine: one that crashes or hangs fails only the run it executes.

Every process has pipes and a supervising thread of its own: a process that is killed leaves no lock
behind for which others wait, as in a pool with shared queues, and is replaced without ending the
pool.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import queue
import tempfile
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from deepobs import checks, config
from deepobs_bench._starts import (
    KilledAtStartError,
    Starter,
    cannot_start,
    exit_in_words,
    kill,
    printed_until_the_end,
)
from deepobs_bench._worker import SECONDS_TO_END, Answer
from deepobs_bench.failures import ExecutorError, RunStoppedError, worker_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

T = TypeVar("T")

_GRACE_SECONDS = 10.0
_STARTS = 3
"""How many processes are tried that are killed before they are ready."""

_MAX_WAIT = 1e6  # seconds, more than a week; `poll` takes no more than some weeks


class Limit(NamedTuple):
    """Seconds until a call should have ended, and until it is killed."""

    seconds: float
    kill_after: float


def limit_of(time_limit: float | None) -> Limit | None:
    """Return the limit of a call that should end after a time, `None` for no limit."""
    return None if time_limit is None else Limit(time_limit, time_limit + _GRACE_SECONDS)


class KillableExecutor(Executor):
    """An executor whose workers can be ended in the middle of their work."""

    def kill_workers(self) -> None:
        """Accept no more calls, and end at once what workers do for this executor."""
        raise NotImplementedError

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The base class would wait for all calls, also after an interruption from the keyboard:
        # nobody wants to wait for hours of work then.
        if error_type is None:
            self.shutdown()
        else:
            self.kill_workers()


class WorkerProcesses(KillableExecutor):
    """Executes calls in processes, each of which serves many calls.

    A call whose process dies, or runs out of time, raises `RunStoppedError`; the process is
    replaced.

    Args:
        jobs: Number of processes.
        threads: Threads of torch in each run; `None` for those of its test problem.
        devices: The default devices of the processes, in turn: four jobs on two devices make two
            jobs on each.
        limit: When a call is killed; `None` for never.

    Raises:
        ArgumentError: A device does not exist, or a number is out of range.
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
        names: list[str | None] = [str(config.resolve_device(device)) for device in devices]
        names = names or [None]
        self.capacity = 2 * jobs  # the next call is submitted before one ends
        self._limit = limit
        self._starter = Starter(threads, jobs=jobs)
        self._slots = [
            WorkerSlot(self._starter, names[number % len(names)]) for number in range(jobs)
        ]
        # Supervisors may take slots in any order: none is bound to a thread of the pool.
        self._free_slots: queue.SimpleQueue[WorkerSlot] = queue.SimpleQueue()
        for slot in self._slots:
            self._free_slots.put(slot)
        self._supervisors = ThreadPoolExecutor(jobs, thread_name_prefix="supervisor")

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Submit a call; the function, its arguments and its value are pickled."""
        call = functools.partial(fn, *args, **kwargs)
        return self._supervisors.submit(self._call, call, self._limit)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, and end each process once all calls are done."""
        self._supervisors.shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            for slot in self._slots:
                slot.end()
            self._starter.end()
        else:
            threading.Thread(target=self.shutdown).start()

    def kill_workers(self) -> None:
        """Accept no more calls, and end all processes in the middle of their work."""
        # Calls that wait are canceled first: a supervisor whose process ends would take the next.
        self._supervisors.shutdown(wait=False, cancel_futures=True)
        self._starter.dismiss()
        for slot in self._slots:
            slot.dismiss()
        self.shutdown()

    def _call(self, call: Callable[[], T], limit: Limit | None) -> T:
        slot = self._free_slots.get_nowait()  # one for each supervisor
        try:
            return slot.execute(call, limit)
        finally:
            self._free_slots.put(slot)


class WorkerSlot:
    """A place for a process, which is started by the first call, and replaced when it dies."""

    def __init__(self, starter: Starter, device: str | None) -> None:
        self._starter = starter
        self._device = device
        self._process: _WorkerProcess | None = None
        self._is_closed = False
        # `dismiss`, from another thread, must see a process that is being started, or prevent it.
        self._changing = threading.Lock()

    def execute(self, call: Callable[[], T], limit: Limit | None) -> T:
        """Execute a call.

        Raises:
            RunStoppedError: Its process died.
            ExecutorError: No process could be started.
            Exception: What the call raised.
        """
        process = self._process_with(call)
        answer = process.answer(limit)
        if answer.is_last:
            process.end()
        if answer.warnings:
            from deepobs.runs.trackers import warn_once

            for text in answer.warnings:
                warn_once(text)
        if answer.error is not None:
            raise answer.error
        value: T = answer.value
        return value

    def dismiss(self) -> None:
        """Let the process end in the middle of its work, and start no other; from any thread."""
        with self._changing:
            self._is_closed = True
            if self._process is not None:
                self._process.dismiss()

    def end(self) -> None:
        """Kill the process; no thread may be using it."""
        if self._process is not None:
            self._process.end()

    def _process_with(self, call: Callable[[], T]) -> _WorkerProcess:
        """A process that was sent a call; one that died while it was idle is replaced."""
        for others in reversed(range(_STARTS)):
            try:
                process = self._living_process()
                process.send(call)
            except (KilledAtStartError, BrokenPipeError):
                if not others:
                    raise
                self.end()
            else:
                return process
        raise AssertionError  # the last start either returned or raised

    def _living_process(self) -> _WorkerProcess:
        if self._process is not None and self._process.is_alive():
            return self._process
        with self._changing:
            if self._is_closed:
                raise ExecutorError("The worker processes were ended.")
            self.end()
            self._process = _WorkerProcess(self._starter, self._device)
        self._process.wait_until_ready()
        return self._process


class _WorkerProcess:
    """A process that executes calls, and the log of what it prints.

    It is used by one thread, except for `dismiss` and `kill`.
    """

    def __init__(self, starter: Starter, device: str | None) -> None:
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 # closed in `end`
        calls, self._calls = Pipe(duplex=False)
        self._answers, answers = Pipe(duplex=False)
        with calls, answers:
            files = calls.fileno(), answers.fileno(), self._log.fileno()
            try:
                self._process = starter.start(device, *files)
            except BaseException:
                self._close()
                raise
        self._is_ready = False

    def wait_until_ready(self) -> None:
        """Wait until the process accepts calls.

        Raises:
            KilledAtStartError: It was killed before.
            ExecutorError: It ended before for another reason.
        """
        with contextlib.suppress(EOFError, OSError):
            self._answers.recv_bytes()
            self._is_ready = True
            return
        printed = self._printed_until_the_end()
        self.end()
        raise cannot_start(self._process, printed)

    def is_alive(self) -> bool:
        """Whether it is running."""
        return self._process.poll() is None

    def send(self, call: object) -> None:
        """Send a call, and discard what was printed before.

        Raises:
            BrokenPipeError: The process has ended, or is ending.
            Exception: The call cannot be pickled.
        """
        # The process shares our position in the file, and writes from there on.
        os.lseek(self._log.fileno(), 0, os.SEEK_SET)
        os.ftruncate(self._log.fileno(), 0)
        # Pickled first: an error must not look like one of the pipe, after which we would retry.
        content = pickle.dumps(call)
        try:
            self._calls.send_bytes(content)
        except OSError as error:  # also where `dismiss` closed the pipe
            raise BrokenPipeError from error

    def answer(self, limit: Limit | None) -> Answer:
        """Wait for the answer to a call.

        Raises:
            RunStoppedError: The process ended without an answer, or was killed by the limit.
        """
        is_bounded = limit is not None and limit.kill_after < _MAX_WAIT
        is_late = not self._answers.poll(limit.kill_after if limit and is_bounded else None)
        if is_late:
            self.kill()
        # Also if it is late: the answer may have arrived just before the kill.
        with contextlib.suppress(EOFError, OSError):
            content = self._answers.recv_bytes()
            answer: Answer = pickle.loads(content)  # noqa: S301 # of a process of ours
            return answer
        printed = self._printed_until_the_end()
        self.end()
        worker = worker_name(self._process.pid)
        if is_late and limit is not None:
            message = (
                f"The time limit of {limit.seconds:g} s was reached. The run did not end by "
                "itself and was killed."
            )
            raise RunStoppedError("time_limit", message, log=printed, worker=worker)
        message = f"The process of the run ended: {exit_in_words(self._process)}"
        raise RunStoppedError("crash", message, log=printed, worker=worker)

    def dismiss(self) -> None:
        """Stop it gracefully, with a last checkpoint if it writes any, else at once."""
        if not self._is_ready:  # it does not listen yet, and has nothing to save
            self.kill()
            return
        self._calls.close()
        killing = threading.Timer(SECONDS_TO_END + 5, self.kill)  # in case it cannot
        killing.daemon = True
        killing.start()

    def kill(self) -> None:
        """Kill it with all of its children."""
        kill(self._process)

    def end(self) -> None:
        """Kill it and close all that belongs to it; also a second time."""
        self.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._calls.close()
        self._answers.close()
        self._log.close()

    def _printed_until_the_end(self) -> str:
        return printed_until_the_end(self._process, self._log.fileno())
