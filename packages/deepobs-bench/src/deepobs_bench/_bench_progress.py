"""The progress of an experiment: a bar on a terminal, a line for each run elsewhere."""

from __future__ import annotations

import contextlib
from collections import Counter
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

from deepobs.console import screen
from deepobs.console.text import clean
from deepobs.runs.progress import schedule_of, summary_of
from deepobs_bench.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepobs.records import RunSpecification
    from deepobs_bench.failures import Outcome
    from deepobs_bench.sweep import Notify


@contextlib.contextmanager
def bench_progress(
    num_runs: int,
    jobs: int,
    *,
    console: Console | None = None,
    show: Callable[[str], None] = screen.show,
) -> Iterator[Notify]:
    """Show progress while the block lasts, and yield what a sweep calls with outcomes."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(num_runs, show)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress, num_runs, jobs)


def described(specification: RunSpecification, outcome: Outcome) -> str:
    """Describe a run and its outcome in a line."""
    if isinstance(outcome, Failure):
        run = f"{specification.optimizer} on {specification.testproblem}"
        kind = outcome.kind.replace("_", " ")
        summary = f"{run}, seed {specification.random_seed}: failed ({kind}): {outcome.message}"
    else:
        summary = summary_of(outcome)
    values = [f"{name} = {value}" for name, value in specification.hyperparameters.items()]
    values += filter(None, [schedule_of(specification)])
    return clean(f"{summary}; {', '.join(values)}" if values else summary)


class _Lines:
    """A line for each run that was executed."""

    def __init__(self, num_runs: int, show: Callable[[str], None]) -> None:
        self._num_runs = num_runs
        self._show = show
        self._num_ended = 0

    def __call__(
        self, specification: RunSpecification, outcome: Outcome, /, *, was_done: bool
    ) -> None:
        if not was_done:
            self._num_ended += 1
            number = f"[{self._num_ended}/{self._num_runs}]"
            self._show(f"{number} {described(specification, outcome)}")


class _Bar:
    """A bar for all runs; only failures leave a line."""

    def __init__(self, progress: Progress, num_runs: int, jobs: int) -> None:
        self._progress = progress
        self._num_runs = num_runs
        self._jobs = jobs
        self._counts: Counter[str] = Counter()
        self._task = progress.add_task("Runs", total=num_runs, state=self._state())

    def __call__(
        self, specification: RunSpecification, outcome: Outcome, /, *, was_done: bool
    ) -> None:
        if was_done:
            return
        if isinstance(outcome, Failure):
            line = described(specification, outcome)
            self._progress.console.print(line, markup=False, highlight=False)
        self._counts["failed" if isinstance(outcome, Failure) else outcome.status] += 1
        self._progress.update(self._task, advance=1, state=self._state())

    def _state(self) -> str:
        running = min(self._jobs, self._num_runs - self._counts.total())
        shown = {"running": running}
        shown |= {name: self._counts[name] for name in ("failed", "diverged")}
        return ", ".join(f"{count} {name}" for name, count in shown.items() if count)
