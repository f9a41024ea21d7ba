"""What a worker process does: execute the calls that it is sent, one after the other.

Calls and answers are pickled; each kind has a pipe of its own. Whatever a run prints goes into a
file that the supervisor keeps. This module imports no torch before the number of threads is known.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import pickle
import queue
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_TO_END = 20.0
"""How long a run has for a last checkpoint when it is to end."""

_LOG_BYTES = 2**16
_is_worker = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a call."""

    value: Any = None
    error: Exception | None = None
    is_last: bool = False
    # Of trackers, since the process started: what it prints is seen only if it dies.
    warnings: frozenset[str] = frozenset()


def main(calls_fd: int, answers_fd: int, threads: int | None, device: str | None) -> None:
    """Serve calls until the supervisor closes their pipe."""
    global _is_worker
    _is_worker = True
    for descriptor in (calls_fd, answers_fd):
        os.set_inheritable(descriptor, False)
    calls = Connection(calls_fd, writable=False)
    answers = Connection(answers_fd, readable=False)
    # The supervisor learns of our end from the pipe, which no child of ours may keep open.
    os.register_at_fork(after_in_child=answers.close)
    # The traceback of a segmentation fault goes into the log, which is all that remains of a crash.
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides what an interruption ends
    _set_up(threads, device)
    answers.send_bytes(pickle.dumps(Answer()))
    # Calls are received by a thread, which also notices the end of the supervisor during a call;
    # they are executed here, since only the main thread can handle signals.
    incoming: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(calls, incoming), daemon=True).start()
    while True:
        answer = _answer(incoming.get())
        _send(answers, answer)
        if answer.is_last:
            return


def printed_by_this_call() -> str:
    """The end of what was printed since the current call came in, empty outside of workers."""
    return tail_of(2) if _is_worker else ""  # standard error, and output, are the log


def tail_of(file_descriptor: int) -> str:
    """The end of an open file, whose position stays."""
    size = os.fstat(file_descriptor).st_size
    return os.pread(file_descriptor, _LOG_BYTES, max(0, size - _LOG_BYTES)).decode(errors="replace")


def preload() -> None:
    """Import what every run needs; the first optimizer of a process imports half of torch."""
    import torch

    importlib.import_module("deepobs_bench._tasks")
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])


def _set_up(threads: int | None, device: str | None) -> None:
    # Before the process is ready, so that time limits of runs do not include the imports.
    preload()
    import torch

    from deepobs import config

    if threads is not None:
        torch.set_num_threads(threads)
        config.set_num_threads(threads)
    if device is not None:
        config.set_default_device(device)


def _listen(calls: Connection, incoming: queue.SimpleQueue[bytes]) -> None:
    """Pass calls on; end the process, also in the middle of a run, once the supervisor is gone."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            incoming.put(calls.recv_bytes())
    # A run that writes checkpoints writes another one, if it gets to it soon.
    if callable(signal.getsignal(signal.SIGTERM)):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS_TO_END)
    # With all children of the run: they share the process group, which the supervisor made for us.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _answer(call: bytes) -> Answer:
    from deepobs_bench.failures import Failure

    try:
        function: Callable[[], Any] = pickle.loads(call)  # noqa: S301 # from our parent
        value = function()
    except Exception as error:
        return Answer(
            error=portable(error), is_last=_device_may_be_lost(), warnings=_warnings_of_trackers()
        )
    is_last = isinstance(value, Failure) and _device_may_be_lost()
    return Answer(value=value, is_last=is_last, warnings=_warnings_of_trackers())


def _warnings_of_trackers() -> frozenset[str]:
    trackers = sys.modules.get("deepobs.runs.trackers")  # not imported for runs without any
    return frozenset() if trackers is None else trackers.warnings_given()


def _send(answers: Connection, answer: Answer) -> None:
    try:
        # Not by `send`, with whose pickler torch would share the memory of tensors.
        content = pickle.dumps(answer)
    except Exception as error:  # the value cannot be pickled
        content = pickle.dumps(Answer(error=portable(error), is_last=answer.is_last))
    with contextlib.suppress(BrokenPipeError):  # the supervisor is gone: `_listen` ends us
        answers.send_bytes(content)


def portable(error: Exception) -> Exception:
    """The error itself, or another one with its text if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 # our own
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _device_may_be_lost() -> bool:
    # Some errors on a GPU make all further work of the process fail.
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()
