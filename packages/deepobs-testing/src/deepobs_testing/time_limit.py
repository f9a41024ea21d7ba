"""A limit on the time that code of others may take."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class TimeLimitReached(BaseException):
    """The time is over. No `except Exception` of that code holds it up."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer, where that is possible: in the main thread of a POSIX system.

    An alarm that somebody else set goes off when it would have, or at the end of the limit.

    Args:
        seconds: The time allowed, more than 0.

    Raises:
        TimeLimitReached: It is over.
    """
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not (is_main_thread and hasattr(signal, "setitimer")):
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise TimeLimitReached

    handler = signal.signal(signal.SIGALRM, interrupt)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    started = time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if remaining:
            rest = remaining - (time.monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(rest, 1e-3), interval)
