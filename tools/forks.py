"""Calling others' code in a process of its own, which may raise anything, hang or die."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Failure:
    """Why a call has no result."""

    reason: str


def in_a_fork(function: Callable[..., Any], *arguments: Any, seconds: float = 60) -> Any:
    """Call a function in a fork of this process.

    Args:
        function: Returns something that can be pickled.
        *arguments: Its arguments.
        seconds: After so long it counts as failed.

    Returns:
        What it returns, or a `Failure`.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        try:
            result = function(*arguments)
        except BaseException as error:  # others' code raises anything, SystemExit included
            lines = [str(error).strip().partition("\n")[0], *getattr(error, "__notes__", ())]
            result = Failure(f"{type(error).__name__}: {' '.join(lines)}"[:600])
            if "VERBOSE" in os.environ:
                traceback.print_exc()
        sender.send(result)

    process = context.Process(target=work, daemon=True)
    process.start()
    sender.close()
    try:
        ended = receiver.poll(seconds)
        return receiver.recv() if ended else Failure(f"takes longer than {seconds:g} s")
    except EOFError:
        return Failure("the process died")
    finally:
        process.kill()
        process.join()
