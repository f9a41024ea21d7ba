"""A run that kills the process in which it is executed; workers import this module."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from deepobs.runs import RunObserver

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification


class Kills(RunObserver):
    """Kills the process of the run with a learning rate.

    Args:
        learning_rate: That of the run.
        token: A file that the first kill takes away: without it, nothing is killed. `None` to kill
            every time.
    """

    def __init__(self, learning_rate: float, token: Path | None = None) -> None:
        self.learning_rate = learning_rate
        self.token = token

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        """Kill the process, if it is this run."""
        del steps_per_epoch, resumed_at
        if specification.hyperparameters["lr"] != self.learning_rate:
            return
        if self.token is not None:
            try:
                self.token.unlink()
            except FileNotFoundError:
                return
        os.kill(os.getpid(), signal.SIGKILL)
