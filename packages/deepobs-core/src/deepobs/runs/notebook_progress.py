"""Progress of runs in notebooks: Jupyter, Colab, Kaggle and editors."""

from __future__ import annotations

import sys
import time
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepobs.runs.execution import RunObserver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

_SECONDS_BETWEEN_UPDATES = 0.2


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    # A process that has not imported IPython is none of its kernels.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


class NotebookProgress(RunObserver):
    """A bar for the epochs of the current run below the cell, with the latest evaluation.

    Args:
        num_runs: The number of runs.
    """

    # HTML that is updated in place needs no widgets, which Colab and Kaggle have in other versions
    # than Jupyter, and whose bars are gone once a notebook is opened again.

    def __init__(self, num_runs: int) -> None:
        self._num_runs, self._done = num_runs, 0
        self._handle: Any = None
        self._updated_at = 0.0
        self._epoch, self._metrics = 0.0, ""

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        """Show the bar."""
        del resumed_at
        self._steps_per_epoch = max(steps_per_epoch, 1)
        self._epochs = specification.epochs_begun(self._steps_per_epoch)
        self._epoch, self._metrics = 0.0, ""
        self._name = (
            f"{specification.label or specification.optimizer} on {specification.testproblem}, "
            f"seed {specification.random_seed}"
        )
        self._show(at_once=True)

    def steps_taken(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Move the bar between evaluations."""
        del metrics
        self._epoch = steps / self._steps_per_epoch
        self._show()

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show the latest evaluation."""
        self._evaluated(epoch, metrics)

    def evaluated_within_epoch(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Show the latest evaluation."""
        self._evaluated(steps / self._steps_per_epoch, metrics)

    def _evaluated(self, epoch: float, metrics: Mapping[str, float]) -> None:
        name = "test_accuracy" if "test_accuracy" in metrics else "test_loss"
        self._epoch, self._metrics = epoch, f"{name.replace('_', ' ')} {metrics[name]:.4g}"
        self._show()

    def run_ended(self, record: RunRecord) -> None:
        """Show the end of the run."""
        self._done += 1
        if record.status == "diverged":
            self._metrics = f"diverged in epoch {record.diverged_at_epoch}"
        self._show(at_once=True)

    def _show(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if not at_once and now < self._updated_at + _SECONDS_BETWEEN_UPDATES:
            return
        self._updated_at = now
        ipython = import_module("IPython.display")
        view = ipython.HTML(self._html())
        if self._handle is None:
            self._handle = ipython.display(view, display_id=True)
        else:
            self._handle.update(view)

    def _html(self) -> str:
        runs = f"{self._done} of {self._num_runs} runs. " if self._num_runs > 1 else ""
        value = min(self._epoch, self._epochs)
        return (
            f"<div>{runs}{escape(self._name)} "
            f'<progress value="{value:.3f}" max="{max(self._epochs, 1)}"></progress> '
            f"epoch {int(value)} of {self._epochs} {escape(self._metrics)}</div>"
        )
