"""Progress bars of runs on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepobs.runs.execution import RunObserver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification


class ProgressBars(RunObserver):
    """A bar for the epochs of the current run, and one for all runs if there are several.

    Args:
        console: The terminal.
        num_runs: The number of runs.

    Attributes:
        display: The bars; they appear when a run starts and stay until they are stopped.
    """

    def __init__(self, console: Console, num_runs: int) -> None:
        self.display = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[metrics]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._all_runs = (
            self.display.add_task("All runs", total=num_runs, metrics="") if num_runs > 1 else None
        )

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        """Start a bar. The display starts here, so that a run that is refused shows none."""
        del resumed_at
        self.display.start()
        self._steps_per_epoch = max(steps_per_epoch, 1)
        self._current = self.display.add_task(
            f"{specification.optimizer} on {specification.testproblem}, "
            f"seed {specification.random_seed}",
            total=specification.epochs_begun(self._steps_per_epoch),
            metrics="",
        )

    def steps_taken(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Move the bar between evaluations."""
        del metrics
        self.display.update(self._current, completed=steps // self._steps_per_epoch)

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show the latest evaluation."""
        self._show(epoch, metrics)

    def evaluated_within_epoch(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Show the latest evaluation."""
        self._show(steps // self._steps_per_epoch, metrics)

    def _show(self, epoch: int, metrics: Mapping[str, float]) -> None:
        name = "test_accuracy" if "test_accuracy" in metrics else "test_loss"
        shown = f"{name.replace('_', ' ')} {metrics[name]:.4g}"
        self.display.update(self._current, completed=epoch, metrics=shown)

    def run_ended(self, record: RunRecord) -> None:
        """Remove the bar: the caller prints what remains."""
        del record
        self.display.remove_task(self._current)
        if self._all_runs is not None:
            self.display.advance(self._all_runs)
