"""How worker processes are started: forked from a template, else each as a new interpreter."""

from __future__ import annotations

import contextlib
import importlib
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

from deepobs.resources import importing_torch, usable_cores
from deepobs_bench import _template
from deepobs_bench._worker import tail_of
from deepobs_bench.failures import ExecutorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
                environment = self._environment()
                self._template = _take_forked(environment) or _Template(path, environment)
            try:
                self._can_fork = self._template.wait_until_ready()
            except ExecutorError:
                self._template = None
                raise
        return self._template if self._can_fork else None

    def _environment(self) -> dict[str, str]:
        return _environment(self._jobs, self._most_threads)


def _environment(jobs: int, most_threads: int | None) -> dict[str, str]:
    # Set before the interpreter starts: OpenMP reads its variables when torch is imported, and
    # never again.
    environment = {"DEEPOBS_NUM_WORKERS": str(max(1, usable_cores() // jobs)), **os.environ}
    if jobs > 1:
        # Threads of several runs may compete for the cores: those that wait must not spin.
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if most_threads:
        most = str(most_threads)
        environment |= {"OMP_NUM_THREADS": most, "MKL_NUM_THREADS": most}
    return environment


class _Template:
    """The process of `deepobs_bench._template`, a new interpreter.

    Args:
        path: Its import path.
        environment: Its environment variables.
    """

    def __init__(self, path: Sequence[str], environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.is_ready = False
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 # closed in `end`
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = self._start(path, theirs.fileno(), self._log.fileno())

    def _start(self, path: Sequence[str], connection: int, log: int) -> Process:
        arguments = [path, connection]
        return _interpreter("_template", arguments, log, (connection,), self.environment)

    def wait_until_ready(self) -> bool:
        """Wait until it can fork, and return whether it does.

        Raises:
            ExecutorError: It ended before.
        """
        answer = self.connection.recv(len(_template.CAN_FORK))
        if not answer:
            printed = printed_until_the_end(self.process, self._log.fileno())
            kill(self.process)
            self.end()
            raise cannot_start(self.process, printed)
        self.is_ready = True
        return answer == _template.CAN_FORK

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
            _wait_for(self._status, timeout)
            code = self._received()
            # If the template was killed, nobody knows.
            self.returncode = -signal.SIGKILL if code is None else code
            self._status.close()  # the template may now forget the process
        return self.returncode

    def _received(self) -> int | None:
        number = self._status.recv(32)
        return int(number) if number else None


class _ForkedTemplate(_Template):
    """A template that is a fork of this process, which has to have imported torch."""

    def _start(self, path: Sequence[str], connection: int, log: int) -> Process:
        del path  # workers set theirs
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # they are closed where nobody is to read them
                stream.flush()  # else both processes would write what waits there
        pid = os.fork()
        if pid == 0:
            self.connection.close()
            _template.main_after_fork(connection, log, self.environment)
        os.setpgid(pid, pid)  # here, too: it may be killed before it gets there
        return _Child(pid)


class _Child(ForkedProcess):
    """A process that this one forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode = None
        self._end = os.pidfd_open(pid)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends.

        Raises:
            subprocess.TimeoutExpired: It is still running.
        """
        if self.returncode is None:
            _wait_for(self._end, timeout)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._end)
        return self.returncode


_forked: list[_ForkedTemplate] = []


@contextlib.contextmanager
def forked_template(jobs: int, threads: int | None) -> Iterator[None]:
    """Import torch, and fork the template for the executor that the block opens.

    A command then imports torch once, for itself and its workers, which get ready while it plans
    their runs. Where that is not possible, the executor starts an interpreter.

    Args:
        jobs: As for `Starter`.
        threads: As for `Starter`.
    """
    # What imported torch before may also have used it: it would be another process than a new one.
    if sys.platform == "linux" and "torch" not in sys.modules:
        environment, before = _environment(jobs, threads), dict(os.environ)
        os.environ.update(environment)
        with importing_torch():
            importlib.import_module("deepobs_bench._tasks")
        os.environ.clear()
        os.environ.update(before)
        if _template.is_forkable():
            _forked.append(_ForkedTemplate((), environment))
    try:
        yield
    finally:
        while _forked:
            unused = _forked.pop()
            kill(unused.process)
            unused.end()


def _take_forked(environment: Mapping[str, str]) -> _Template | None:
    return _forked.pop() if _forked and _forked[-1].environment == environment else None


def _wait_for(readable: int | socket.socket, timeout: float | None) -> None:
    poll = select.poll()
    poll.register(readable, select.POLLIN)
    if not poll.poll(None if timeout is None else 1000 * timeout):
        raise subprocess.TimeoutExpired("a worker process", timeout or 0)


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
