"""Runs on the screen: live progress, and how they ended."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from deepobs.runs.execution import RunObserver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console
    from rich.progress import Progress

    from deepobs.records import RunRecord, RunSpecification


@contextlib.contextmanager
def live_progress(
    num_runs: int = 1, *, console: Console | None = None
) -> Iterator[list[RunObserver]]:
    """Show the progress of runs inside the block.

    Args:
        num_runs: The number of runs.
        console: Where to show it; `None` for standard error.

    Yields:
        The observers to pass to `run`: none if the console is no terminal.
    """
    from rich.console import Console

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
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

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
    """A bar for the epochs of the current run, and one for all runs if there are several."""

    def __init__(self, progress: Progress, num_runs: int) -> None:
        self._progress = progress
        self._all_runs = (
            progress.add_task("All runs", total=num_runs, metrics="") if num_runs > 1 else None
        )

    def run_started(self, specification: RunSpecification, steps_per_epoch: int) -> None:
        """Start a bar. The display starts here, so that a run that is refused shows none."""
        self._progress.start()
        self._steps_per_epoch = max(steps_per_epoch, 1)
        self._current = self._progress.add_task(
            f"{specification.optimizer} on {specification.testproblem}, "
            f"seed {specification.random_seed}",
            total=specification.num_epochs,
            metrics="",
        )

    def steps_taken(self, steps: int, loss: float) -> None:
        """Move the bar between evaluations."""
        del loss
        self._progress.update(self._current, completed=steps // self._steps_per_epoch)

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show the latest evaluation."""
        name = "test_accuracy" if "test_accuracy" in metrics else "test_loss"
        shown = f"{name.replace('_', ' ')} {metrics[name]:.4g}"
        self._progress.update(self._current, completed=epoch, metrics=shown)

    def run_ended(self, record: RunRecord) -> None:
        """Remove the bar: the caller prints what remains."""
        del record
        self._progress.remove_task(self._current)
        if self._all_runs is not None:
            self._progress.advance(self._all_runs)


def summary_of(record: RunRecord) -> str:
    """Describe a run in a line: what it was, how it ended and how long it took.

    Args:
        record: The run.
    """
    fake = ", on fake data" if record.fake_data else ""
    if record.status == "diverged":
        outcome = f"diverged in epoch {record.diverged_at_epoch}"
    else:
        final = {
            "test accuracy": record.test_accuracies and record.test_accuracies[-1],
            "test loss": record.test_losses[-1],
            "train loss": record.train_losses[-1],
        }
        measured = (f"{name} {value:.6g}" for name, value in final.items() if value is not None)
        plural = "s" if record.num_epochs != 1 else ""
        outcome = f"after {record.num_epochs} epoch{plural} {', '.join(measured)}"
    return (
        f"{record.optimizer_name} on {record.testproblem}, seed {record.random_seed}{fake}: "
        f"{outcome} ({sum(record.train_seconds):.1f} s training, "
        f"{sum(record.eval_seconds):.1f} s evaluation)"
    )


def schedule_of(specification: RunSpecification) -> str:
    """Describe the schedule of a run, such as `StepLR(step_size=10)`.

    Args:
        specification: The run.

    Returns:
        The empty string for a constant learning rate.
    """
    scheduler = specification.lr_scheduler
    if scheduler is not None:
        arguments = ", ".join(f"{name}={value}" for name, value in scheduler.arguments.items())
        return f"{scheduler.name}({arguments}){' every step' if scheduler.every == 'step' else ''}"
    epochs, factors = specification.lr_sched_epochs or (), specification.lr_sched_factors or ()
    changes = (
        f"{factor:g} from epoch {epoch}" for epoch, factor in zip(epochs, factors, strict=True)
    )
    return ", ".join(f"lr x {change}" for change in changes)
