"""Interrupts from the keyboard that Python would lose."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

from deepobs.runs.execution import RunObserver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType


class _Interrupts(RunObserver):
    """Ends a run that an interrupt should have ended."""

    def __init__(self) -> None:
        self._has_come = False

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Take note of an interrupt, and raise `KeyboardInterrupt` as usual."""
        self._has_come = True
        signal.default_int_handler(signum, frame)

    def epoch_started(self, epoch: int, learning_rate: float | None) -> None:
        del epoch, learning_rate
        self._raise_again()

    def steps_taken(self, steps: int, metrics: Mapping[str, float]) -> None:
        del steps, metrics
        self._raise_again()

    def _raise_again(self) -> None:
        if self._has_come:
            raise KeyboardInterrupt


@contextlib.contextmanager
def heeded_interrupts() -> Iterator[list[RunObserver]]:
    """End runs by every interrupt from the keyboard.

    Python prints and ignores exceptions in destructors and callbacks. Those of the locks of imports
    are among them, so that an interrupt while a run imports parts of torch may have no effect.

    Yields:
        Observers for these runs; none where something else handles interrupts.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield []
        return
    interrupts = _Interrupts()
    signal.signal(signal.SIGINT, interrupts.handle)
    try:
        yield [interrupts]
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
