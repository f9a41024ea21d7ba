"""What a worker process does: carry out the calls that come in, one after the other.

Calls and answers are pickled; each follows its length. They come and go through what the process
was started with as standard input and output. Whatever a run prints goes to standard error instead,
which the supervisor keeps in a file. This module imports no torch before the set-up is known.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH = struct.Struct("!Q")
_LOG_BYTES = 2**16

SECONDS_TO_END = 20.0
"""How long a run has for a last checkpoint when it is to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """What every worker process is told first.

    Attributes:
        threads: Threads of torch.
        device: The default device; `None` for what it is anyway.
    """

    threads: int
    device: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a call.

    Attributes:
        value: What it returned.
        error: What it raised, `None` where it returned.
        is_last: Whether the process ends now: what failed may have left the device unusable.
    """

    value: Any = None
    error: Exception | None = None
    is_last: bool = False


def write_message(stream: IO[bytes], message: object) -> None:
    """Send a message.

    Raises:
        Exception: It cannot be pickled; nothing was sent then.
        OSError: Nobody receives it any more.
    """
    content = pickle.dumps(message)
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def read_message(stream: IO[bytes]) -> bytes | None:
    """Receive a message, still pickled; `None` where the sender is gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    content = stream.read(length)
    return content if len(content) == length else None


def main() -> None:
    """Work until nobody sends anything any more."""
    calls, answers = _take_over_standard_streams()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides what an interruption ends
    setup: WorkerSetup = pickle.loads(read_message(calls) or b"")  # noqa: S301 # from our parent
    _set_up(setup)
    write_message(answers, Answer())
    incoming: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(calls, incoming), daemon=True).start()
    while True:
        answer = _answer(incoming.get())
        _send(answers, answer)
        if answer.is_last:
            return


def printed_by_this_run() -> str:
    """The end of what was printed since the current call came in, empty outside of workers."""
    return tail_of(_log) if _log is not None else ""


def tail_of(file_descriptor: int) -> str:
    """The end of an open file, whose position stays where it is."""
    size = os.fstat(file_descriptor).st_size
    return os.pread(file_descriptor, _LOG_BYTES, max(0, size - _LOG_BYTES)).decode(errors="replace")


_log: int | None = None


def _take_over_standard_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the way to the supervisor for ourselves: nothing that a run prints may get into it."""
    global _log
    calls = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    _log = 2
    # The supervisor learns of our end from the pipe, which no child of ours may keep open.
    os.register_at_fork(after_in_child=answers.close)
    return calls, answers


def _set_up(setup: WorkerSetup) -> None:
    import torch

    from deepobs import config

    importlib.import_module("deepobs_bench.tasks")
    torch.set_num_threads(setup.threads)
    # The first optimizer imports half of torch, for which the first run shall not have to wait.
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    if setup.device is not None:
        config.set_default_device(setup.device)


def _listen(calls: IO[bytes], incoming: queue.SimpleQueue[bytes]) -> None:
    """Pass calls on; end the process, also in the middle of a run, once the supervisor is gone."""
    while (call := read_message(calls)) is not None:
        incoming.put(call)
    # A run that writes checkpoints writes another one, if it comes to it soon.
    if callable(signal.getsignal(signal.SIGTERM)):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS_TO_END)
    # With all children of a run: they share the process group, which the supervisor made for us.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _answer(call: bytes) -> Answer:
    try:
        function: Callable[[], Any] = pickle.loads(call)  # noqa: S301 # from our parent
        value = function()
    except Exception as error:
        return Answer(error=_portable(error), is_last=_device_may_be_lost())
    return Answer(value=value, is_last=_is_failure(value) and _device_may_be_lost())


def _send(answers: IO[bytes], answer: Answer) -> None:
    try:
        write_message(answers, answer)
    except BrokenPipeError:
        pass  # the supervisor is gone, and so are we in a moment
    except Exception as error:  # the value cannot be pickled
        write_message(answers, Answer(error=_portable(error), is_last=answer.is_last))


def _portable(error: Exception) -> Exception:
    """The error itself, or, where it cannot be sent, another with its text."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 # our own
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _is_failure(value: object) -> bool:
    from deepobs_bench.outcomes import Failure

    return isinstance(value, Failure)


def _device_may_be_lost() -> bool:
    """Some errors on a GPU make all further work of the process fail."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()
