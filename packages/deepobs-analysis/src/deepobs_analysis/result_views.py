"""Results as text and as HTML in a notebook: what they hold, not all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.console.text import counted
from deepobs.errors import joined
from deepobs.html_views import grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd


_MOST_NAMES = 5


def in_words(runs: pd.DataFrame, skipped: int) -> str:
    """What results hold, such as "Results(18 runs of Adam and SGD on digits_mlp)"."""
    if runs.empty:
        what = "no runs"
    else:
        optimizers, problems = (
            _few(sorted(runs[column].unique())) for column in ("optimizer", "problem")
        )
        what = f"{counted(len(runs), 'run')} of {optimizers} on {problems}"
    files = f", {counted(skipped, 'file')} skipped" if skipped else ""
    return f"Results({what}{files})"


def in_html(runs: pd.DataFrame, skipped: int) -> str:
    """The runs of each optimizer on each problem as a table."""
    headings = ("Problem", "Optimizer", "Runs", "Configurations", "Seeds", "Epochs", "Diverged")
    return grid(in_words(runs, skipped), headings, _rows(runs))


def _rows(runs: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    for (problem, optimizer), those in runs.groupby(["problem", "optimizer"], sort=False):
        epochs = sorted(those["num_epochs"].unique())
        yield (
            problem,
            optimizer,
            len(those),
            those["configuration"].nunique(),
            those["seed"].nunique(),
            _few([str(epoch) for epoch in epochs]),
            int(those["has_diverged"].sum()),
        )


def _few(names: list[str]) -> str:
    more = [f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return joined([*names[:_MOST_NAMES], *more])
