"""How long something takes, with interruptions that do not count."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopwatch:
    """Runs from the moment it is made.

    Args:
        seconds: What it starts from.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._zero = time.perf_counter() - seconds

    @property
    def seconds(self) -> float:
        """The time until now, without pauses."""
        return time.perf_counter() - self._zero

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what is done inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._zero += time.perf_counter() - start
