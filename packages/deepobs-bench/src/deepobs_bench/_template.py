"""The process from which workers are forked: it imports once what all of them need.

Importing torch takes each process more than a second, and a fork takes milliseconds. A fork has one
thread, and would wait forever for locks that other threads held. So the template only imports, and
forks if it has one thread and the system what else is needed; if not, it says so. It is a new
interpreter, or itself a fork of a command that has done nothing yet but import torch.
"""

from __future__ import annotations

import gc
import io
import json
import os
import select
import signal
import socket
import sys
import traceback
import types
import warnings
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from deepobs.resources import gc_paused
from deepobs_bench import _worker

if TYPE_CHECKING:
    from collections.abc import Mapping

CAN_FORK, CANNOT_FORK = b"1", b"0"

LONGEST_MESSAGE = 2**17
"""Bytes of a request, which holds the import path."""


def main(connection_fd: int) -> None:
    """Import what workers need, and fork them until the supervisor closes the connection."""
    connection = socket.socket(fileno=connection_fd)
    connection.set_inheritable(False)
    with gc_paused():
        _worker.preload()
    if not is_forkable():
        connection.send(CANNOT_FORK)
        return
    # GC would write to all objects, and so copy the memory that the processes share.
    gc.freeze()
    connection.send(CAN_FORK)
    arguments = _serve(connection)
    if arguments is not None:
        # Here, so that an error ends a forked process as it ends an interpreter.
        _worker.main(*arguments)


def main_after_fork(connection_fd: int, log_fd: int, environment: Mapping[str, str]) -> NoReturn:
    """Do what `main` does in a process that another one forked in the middle of its work.

    Args:
        connection_fd: The end of a socket to the supervisor.
        log_fd: The file of what the process prints.
        environment: Its environment variables.
    """
    code = 1
    # Neither what called us may continue, nor what the other process is to do at its exit.
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
        # Not buffered: a kill would lose it.
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), "utf-8", write_through=True)
        sys.stderr = io.TextIOWrapper(
            io.FileIO(2, "w"), "utf-8", "backslashreplace", write_through=True
        )
        os.environ.update(environment)
        sys.modules["__main__"] = types.ModuleType("__main__")
        main(connection_fd)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def is_forkable() -> bool:
    """Whether this process can be forked, and the system lets us wait for forks of forks."""
    # OpenBLAS ends its threads before a fork; any other threads stay, and make forks unsafe.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of threads
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    try:
        os.close(os.pidfd_open(os.getpid()))
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
    except OSError:  # no Linux, or forbidden in a container
        return False


class _Worker(NamedTuple):
    pid: int
    status: socket.socket


def _serve(connection: socket.socket) -> tuple[int, int, int | None, str | None] | None:
    """Fork workers and report how they end; returns in a worker its arguments, here `None`."""
    running: dict[int, _Worker] = {}  # by what becomes readable when they end
    ended: dict[int, _Worker] = {}
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    is_open = True
    while is_open or running or ended:
        for descriptor, _ in poll.poll():
            if descriptor in running:
                poll.unregister(descriptor)
                os.close(descriptor)
                worker = running.pop(descriptor)
                _tell(worker.status, _exit_code(worker.pid))
                poll.register(worker.status, select.POLLIN)
                ended[worker.status.fileno()] = worker
            elif descriptor in ended:
                # Not earlier: another process could get its number, and the supervisor kill that.
                poll.unregister(descriptor)
                worker = ended.pop(descriptor)
                worker.status.close()
                os.waitpid(worker.pid, 0)
            else:
                request, files, *_ = socket.recv_fds(connection, LONGEST_MESSAGE, 4)
                if not request:
                    poll.unregister(connection)
                    is_open = False
                    continue
                *of_worker, status_fd = files
                pid = os.fork()
                if pid == 0:
                    for one in (connection, *(other.status for other in _both(running, ended))):
                        one.close()
                    for one_fd in (*running, status_fd):
                        os.close(one_fd)
                    return _arguments(request, *of_worker)
                os.setpgid(pid, pid)  # here, too: the supervisor may kill it before it gets there
                for one_fd in of_worker:
                    os.close(one_fd)
                worker = _Worker(pid, socket.socket(fileno=status_fd))
                _tell(worker.status, pid)
                descriptor = os.pidfd_open(pid)
                poll.register(descriptor, select.POLLIN)
                running[descriptor] = worker
    return None


def _both(running: dict[int, _Worker], ended: dict[int, _Worker]) -> list[_Worker]:
    return [*running.values(), *ended.values()]


def _tell(status: socket.socket, number: int) -> None:
    status.send(str(number).encode(), socket.MSG_NOSIGNAL)


def _arguments(
    request: bytes, calls_fd: int, answers_fd: int, log_fd: int
) -> tuple[int, int, int | None, str | None]:
    """Set up a forked process as an interpreter is set up, and return what a worker takes."""
    os.setpgid(0, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(log_fd)
    sys.path[:], threads, device = json.loads(request)
    return calls_fd, answers_fd, threads, device


def _exit_code(pid: int) -> int:
    """How a child ended, which stays in the table of processes."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None  # noqa: S101 # without WNOHANG
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
