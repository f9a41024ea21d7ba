"""How worker processes are started: forked from a template, else each as a new interpreter."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from deepobs.resources import usable_cores
from deepobs_bench._template import CAN_FORK
from deepobs_bench._worker import tail_of
from deepobs_bench.failures import ExecutorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The working directory does not come first on the import path (-P), and what is printed is not
# buffered (-u), since a kill would lose it.
_INTERPRETER = (sys.executable, "-P", "-u", "-c")
_START = (
    "import json, sys; sys.path[:], *arguments = json.loads(sys.argv[1]); "
    "from deepobs_bench.{module} import main; main(*arguments)"
)

_SECONDS_TO_EXIT = 5.0
"""How long a process that closed its pipe has to exit, before it is killed."""


class Process(Protocol):
    """What `subprocess.Popen` and `ForkedProcess` have in common."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """How it ended; `None` while it is running."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends; raises `subprocess.TimeoutExpired`."""


class KilledAtStartError(ExecutorError):
    """A process was killed before it was ready: another one may succeed."""


def cannot_start(process: Process, printed: str) -> ExecutorError:
    """The error for a process that ended before it was ready."""
    # One that the system killed for lack of memory is worth another try, unlike an interpreter
    # that cannot start.
    was_killed = process.returncode == -signal.SIGKILL
    error = KilledAtStartError if was_killed else ExecutorError
    return error(f"A worker process cannot be started: {exit_in_words(process)}\n{printed}")


def exit_in_words(process: Process) -> str:
    """How a process ended."""
    code = process.returncode
    assert code is not None  # noqa: S101 # it ended
    if code >= 0:
        return f"exit code {code}."
    name = signal.Signals(-code).name
    if name == "SIGKILL":
        return "SIGKILL, which is often how the system reacts to a lack of memory."
    return f"{name}."


def printed_until_the_end(process: Process, log: int) -> str:
    """What a process printed that closed its pipe: it may still print why it exits."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_SECONDS_TO_EXIT)
    return tail_of(log)


def kill(process: Process) -> None:
    """Kill a process with all of its children."""
    # Until somebody waits for it, no other process can have its number.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class Starter:
    """Starts the worker processes of an executor; from several threads.

    Args:
        threads: Threads of torch in each run; `None` for those of its test problem.
        jobs: Number of processes that share the cores.
        most_threads: Threads that a run may choose, `None` for no limit.
    """

    def __init__(
        self, threads: int | None, *, jobs: int = 1, most_threads: int | None = None
    ) -> None:
        self._threads = threads
        self._most_threads = threads or most_threads
        self._jobs = jobs
        self._can_fork = sys.platform == "linux"
        self._template: _Template | None = None
        self._is_closed = False
        self._one_at_a_time = threading.Lock()
        # `dismiss`, from another thread, must see a template that is being started, or prevent it.
        self._changing = threading.Lock()

    def start(self, device: str | None, calls: int, answers: int, log: int) -> Process:
        """Start a process.

        Args:
            device: Its default device.
            calls: The end of a pipe from which it reads calls.
            answers: The end of a pipe to which it writes answers.
            log: The file of what it prints.

        Raises:
            KilledAtStartError: The template was killed.
            ExecutorError: The template cannot be started.
        """
        # Our own import path: our modules are found there, however this process found them.
        path = [entry or str(Path.cwd()) for entry in sys.path]
        with self._one_at_a_time:
            template = self._ready_template(path)
            if template is not None:
                request = [path, self._threads, device]
                try:
                    return ForkedProcess(template.connection, request, [calls, answers, log])
                except OSError as error:
                    template.end()
                    self._template = None
                    raise KilledAtStartError("The template of workers was killed.") from error
        arguments = [path, calls, answers, self._threads, device]
        return _interpreter("_worker", arguments, log, (calls, answers), self._environment())

    def dismiss(self) -> None:
        """Start no more processes, and end at once a template that is being started."""
        with self._changing:
            self._is_closed = True
            if self._template is not None and not self._template.is_ready:
                kill(self._template.process)

    def end(self) -> None:
        """End the template; the processes must have ended."""
        if self._template is not None:
            self._template.end()

    def _ready_template(self, path: list[str]) -> _Template | None:
        """The template once it has imported everything; `None` if it does not fork."""
        if not self._can_fork:
            return None
        if self._template is None:
            with self._changing:
                if self._is_closed:
                    raise ExecutorError("The worker processes were ended.")
                self._template = _Template(path, self._environment())
            try:
                self._can_fork = self._template.wait_until_ready()
            except ExecutorError:
                self._template = None
                raise
        return self._template if self._can_fork else None

    def _environment(self) -> dict[str, str]:
        # Set before the interpreter starts: OpenMP reads its variables when torch is imported, and
        # never again.
        environment = {
            "DEEPOBS_NUM_WORKERS": str(max(1, usable_cores() // self._jobs)),
            **os.environ,
        }
        if self._jobs > 1:
            # Threads of several runs may compete for the cores: those that wait must not spin.
            environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        if self._most_threads:
            most = str(self._most_threads)
            environment |= {"OMP_NUM_THREADS": most, "MKL_NUM_THREADS": most}
        return environment


class _Template:
    """The process of `deepobs_bench._template`."""

    def __init__(self, path: list[str], environment: Mapping[str, str]) -> None:
        self.is_ready = False
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 # closed in `end`
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self.process = _interpreter(
                "_template", [path, number], self._log.fileno(), (number,), environment
            )

    def wait_until_ready(self) -> bool:
        """Wait until it can fork, and return whether it does.

        Raises:
            ExecutorError: It ended before.
        """
        answer = self.connection.recv(len(CAN_FORK))
        if not answer:
            printed = printed_until_the_end(self.process, self._log.fileno())
            kill(self.process)
            self.end()
            raise cannot_start(self.process, printed)
        self.is_ready = True
        return answer == CAN_FORK

    def end(self) -> None:
        """End it once the processes that it forked have ended."""
        self.connection.close()
        self.process.wait()
        self._log.close()


class ForkedProcess:
    """A process that a template forked.

    Attributes:
        pid: Its number, which no other process gets before `returncode` is known.
        returncode: How it ended, as in `subprocess`; `None` while that is not known.
    """

    def __init__(
        self, template: socket.socket, request: Sequence[object], files: Sequence[int]
    ) -> None:
        self.returncode: int | None = None
        self._status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                message = json.dumps(request).encode()
                socket.send_fds(template, [message], [*files, theirs.fileno()])
            number = self._received()
            if number is None:
                raise BrokenPipeError("The template has ended.")
        except OSError:
            self._status.close()
            raise
        self.pid = number

    def poll(self) -> int | None:
        """How it ended; `None` while it is running."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends.

        Raises:
            subprocess.TimeoutExpired: It is still running.
        """
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._status, select.POLLIN)
            if not poll.poll(None if timeout is None else 1000 * timeout):
                raise subprocess.TimeoutExpired("a worker process", timeout or 0)
            code = self._received()
            # If the template was killed, nobody knows.
            self.returncode = -signal.SIGKILL if code is None else code
            self._status.close()  # the template may now forget the process
        return self.returncode

    def _received(self) -> int | None:
        number = self._status.recv(32)
        return int(number) if number else None


def _interpreter(
    module: str,
    arguments: Sequence[object],
    log: int,
    files: Sequence[int],
    environment: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    # Not by `multiprocessing`: it forks this process with the threads of torch, or imports the
    # user's main script again.
    return subprocess.Popen(  # noqa: S603 # our own interpreter
        [*_INTERPRETER, _START.format(module=module), json.dumps(arguments)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=environment,
        pass_fds=files,
        process_group=0,  # Ctrl-C is for us; and the process may have children
    )
