"""Interrupts from the keyboard that Python would lose."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Interrupts:
    """The interrupts that came during a run."""

    def __init__(self) -> None:
        self._has_come = False

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Take note of an interrupt, and raise `KeyboardInterrupt` as usual."""
        self._has_come = True
        signal.default_int_handler(signum, frame)

    def raise_again(self) -> None:
        """Raise `KeyboardInterrupt` if an earlier one had no effect."""
        if self._has_come:
            raise KeyboardInterrupt


@contextlib.contextmanager
def noticed_interrupts() -> Iterator[Interrupts]:
    """Take note of interrupts from the keyboard.

    Python prints and ignores exceptions in destructors and callbacks. Those of the locks of imports
    are among them, so that an interrupt while a run imports parts of torch may have no effect.

    Yields:
        The interrupts; none are noticed outside the main thread or where something else handles
        them.
    """
    interrupts = Interrupts()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupts
        return
    signal.signal(signal.SIGINT, interrupts.handle)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
