"""A worker process as its supervisor sees it: what is sent, what comes back, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from deepobs.errors import ExecutorError
from deepobs_bench.outcomes import FailureKind, RunCrashedError, worker_name
from deepobs_bench.worker import (
    SECONDS_TO_END,
    Answer,
    WorkerSetup,
    read_message,
    tail_of,
    write_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# The working directory does not come first on the import path (-P), and what is printed is not held
# back, where a kill would lose it (-u).
_INTERPRETER = (sys.executable, "-P", "-u", "-c")
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from deepobs_bench.worker import main; main()"
)

_SECONDS_TO_GO = 5.0
"""How long a process that closed its pipe has to end, before it is killed."""


class Limit(NamedTuple):
    """How long a call may take.

    Attributes:
        seconds: Until it should have ended by itself.
        kill_after: Seconds until it is killed.
    """

    seconds: float
    kill_after: float


class KilledAtStartError(ExecutorError):
    """A worker process was killed before it was ready: another one may fare better."""


class WorkerProcess:
    """A process that carries out calls, and the log of what it prints.

    It is used by one thread, but for `dismiss` and `kill`.

    Args:
        environment: Its environment variables.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 # closed in `end`
        # Our own import path: our modules are found there, however this process found them.
        path = [entry or str(Path.cwd()) for entry in sys.path]
        self._process = subprocess.Popen(  # noqa: S603 # our own interpreter
            [*_INTERPRETER, _START, json.dumps(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            process_group=0,  # what is typed on a terminal is for us; and it may have children
        )
        self._is_ready = False

    def set_up(self, setup: WorkerSetup) -> None:
        """Wait until the process is ready for calls.

        Args:
            setup: What it has to know.

        Raises:
            KilledAtStartError: Somebody killed it before it got so far.
            ExecutorError: It did not get so far for another reason.
        """
        try:
            self.send(setup)
            self._is_ready = read_message(self._answers) is not None
        except BrokenPipeError:
            self._is_ready = False
        if not self._is_ready:
            printed = self._printed_until_the_end()
            self.end()
            was_killed = self._process.returncode == -signal.SIGKILL
            error = KilledAtStartError if was_killed else ExecutorError
            raise error(f"A worker process cannot be started: {self._exit()}\n{printed}")

    def is_alive(self) -> bool:
        """Whether it did not end yet."""
        return self._process.poll() is None

    def send(self, message: object) -> None:
        """Send a set-up or a call; what was printed before is forgotten.

        Raises:
            BrokenPipeError: The process is gone, or going.
            Exception: The message cannot be pickled.
        """
        # The process shares our position in the file, and writes from there on.
        os.lseek(self._log.fileno(), 0, os.SEEK_SET)
        os.ftruncate(self._log.fileno(), 0)
        try:
            write_message(self._calls, message)
        except ValueError as error:  # the pipe was closed: the process is dismissed
            raise BrokenPipeError from error

    def answer(self, limit: Limit | None) -> Answer:
        """Wait for the answer to a call.

        Args:
            limit: How long to wait for it.

        Raises:
            RunCrashedError: The process ended without an answer, or was killed because of the
                limit.
        """
        with _alarm(limit, self.kill) as is_late:
            content = read_message(self._answers)
        if content is not None:
            answer: Answer = pickle.loads(content)  # noqa: S301 # of a process of ours
            return answer
        printed = self._printed_until_the_end()
        self.end()
        raise self._crash(printed, limit if is_late.is_set() else None)

    def dismiss(self) -> None:
        """Let it end by itself, with a last checkpoint where it writes any, or else at once."""
        if not self._is_ready:  # it takes notice of nothing before, and has nothing to keep
            self.kill()
            return
        with contextlib.suppress(BrokenPipeError):
            self._calls.close()
        killing = threading.Timer(SECONDS_TO_END + 5, self.kill)  # if it is not able to
        killing.daemon = True
        killing.start()

    def kill(self) -> None:
        """End it with all of its children, whatever they are doing."""
        # Until somebody waits for it, no other process can have its number.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill it and let go of all that belongs to it; twice does no harm."""
        self.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):  # a call that it did not take is still in there
            self._calls.close()
        self._answers.close()
        self._log.close()

    @property
    def _calls(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 # we asked for a pipe
        return self._process.stdin

    @property
    def _answers(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 # we asked for a pipe
        return self._process.stdout

    def _printed_until_the_end(self) -> str:
        """What a process printed that closed its pipe: it is ending, and shall say itself how."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_GO)
        return tail_of(self._log.fileno())

    def _crash(self, printed: str, exceeded: Limit | None) -> RunCrashedError:
        kind: FailureKind = "crash"
        message = f"The process of the run ended: {self._exit()}"
        if exceeded is not None:
            kind = "time_limit"
            message = (
                f"The time limit of {exceeded.seconds:g} s was reached. The run did not end by "
                "itself and was killed."
            )
        return RunCrashedError(kind, message, log=printed, worker=worker_name(self._process.pid))

    def _exit(self) -> str:
        """How it ended, in words."""
        code = self._process.returncode
        if code >= 0:
            return f"exit code {code}."
        name = signal.Signals(-code).name
        if name == "SIGKILL":
            return "SIGKILL, which is often how the system reacts to a lack of memory."
        return f"{name}."


@contextlib.contextmanager
def _alarm(limit: Limit | None, ring: Callable[[], None]) -> Iterator[threading.Event]:
    """Call a function if the block takes too long; the event tells whether it did."""
    is_late = threading.Event()

    def take_notice() -> None:
        is_late.set()
        ring()

    if limit is None:
        yield is_late
        return
    timer = threading.Timer(min(limit.kill_after, threading.TIMEOUT_MAX), take_notice)
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()
