"""Letting a run end in order when its process is asked to end."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType


class DeferredTermination:
    """Puts off SIGTERM, which schedulers of clusters send before they kill, until `carry_out`.

    A context manager; what the signal would have done holds again afterwards. Elsewhere than in the
    main thread, where Python handles no signals, nothing is put off.

    Attributes:
        is_asked_for: Whether the signal came.
    """

    def __init__(self) -> None:
        self.is_asked_for = False

    def __enter__(self) -> Self:
        self._is_in_force = threading.current_thread() is threading.main_thread()
        if self._is_in_force:
            self._before = signal.signal(signal.SIGTERM, self._notice)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._is_in_force:
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)
            self._is_in_force = False
            if self.is_asked_for:
                signal.raise_signal(signal.SIGTERM)

    def carry_out(self) -> None:
        """Do what the signal would have done."""
        self.__exit__()

    def _notice(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.is_asked_for = True
