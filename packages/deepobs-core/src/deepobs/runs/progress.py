"""Runs on the screen: live progress, and how they ended."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from deepobs.runs.notebook_progress import NotebookProgress, is_notebook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification
    from deepobs.runs.execution import RunObserver

_TERMINAL_VARIABLES = {"FORCE_COLOR", "TTY_COMPATIBLE"}


@contextlib.contextmanager
def live_progress(
    num_runs: int = 1, *, console: Console | None = None
) -> Iterator[list[RunObserver]]:
    """Show the progress of runs inside the block.

    Args:
        num_runs: The number of runs.
        console: Where to show it; `None` for the cell of a notebook, else standard error.

    Yields:
        The observers to pass to `run`: none if the console is no terminal.
    """
    if console is None and is_notebook():
        yield [NotebookProgress(num_runs)]
        return
    # As rich decides it; importing rich for nothing takes longer than a short run.
    if console is None and not (sys.stderr.isatty() or _TERMINAL_VARIABLES & os.environ.keys()):
        yield []
        return
    from rich.console import Console

    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield []
        return
    from deepobs.runs.progress_bars import ProgressBars

    bars = ProgressBars(console, num_runs)
    try:
        yield [bars]
    finally:
        bars.display.stop()


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
        # Of a run that ended within an epoch, the steps say more.
        is_cut = record.steps < record.num_epochs * (record.steps_per_epoch or 0)
        number, unit = (record.steps, "step") if is_cut else (record.num_epochs, "epoch")
        plural = "s" if number != 1 else ""
        outcome = f"after {number} {unit}{plural} {', '.join(measured)}"
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
