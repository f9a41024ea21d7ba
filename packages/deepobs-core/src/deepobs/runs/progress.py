"""Live progress on a terminal; silence elsewhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepobs.runs.observers import RunObserver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepobs.records import RunRecord, RunSpecification


@contextlib.contextmanager
def live_progress(
    num_runs: int = 1, *, console: Console | None = None
) -> Iterator[list[RunObserver]]:
    """Show the progress of runs while they last.

    Args:
        num_runs: How many runs will be carried out.
        console: Where to show it; `None` for standard error.

    Yields:
        The observers to give to `run`: none where nobody is watching a terminal.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield []
        return
    progress = _progress(console)
    try:
        yield [_ProgressObserver(progress, num_runs)]
    finally:
        progress.stop()


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[metrics]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class _ProgressObserver(RunObserver):
    """A bar for the epochs of the current run, and one for all runs where there are several."""

    def __init__(self, progress: Progress, num_runs: int) -> None:
        self._progress = progress
        self._all_runs = (
            progress.add_task("All runs", total=num_runs, metrics="") if num_runs > 1 else None
        )

    def run_started(self, specification: RunSpecification, steps_per_epoch: int) -> None:
        """Start a bar; the first shows all, so that a run that is refused shows none."""
        self._progress.start()
        self._steps_per_epoch = max(steps_per_epoch, 1)
        self._current = self._progress.add_task(
            f"{specification.optimizer} on {specification.testproblem}, "
            f"seed {specification.random_seed}",
            total=specification.num_epochs,
            metrics="",
        )

    def steps_taken(self, steps: int, loss: float) -> None:
        """Move the bar between epochs."""
        del loss
        self._progress.update(self._current, completed=steps // self._steps_per_epoch)

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show the latest evaluation."""
        name = "test_accuracy" if "test_accuracy" in metrics else "test_loss"
        shown = f"{name.replace('_', ' ')} {metrics[name]:.4g}"
        self._progress.update(self._current, completed=epoch, metrics=shown)

    def run_ended(self, record: RunRecord) -> None:
        """Take the bar away: what remains is for the caller to print."""
        del record
        self._progress.remove_task(self._current)
        if self._all_runs is not None:
            self._progress.advance(self._all_runs)
