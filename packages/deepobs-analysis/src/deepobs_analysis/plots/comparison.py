"""How probable it is that one optimizer beats another."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap, ListedColormap

from deepobs_analysis.measures import probability_of_improvement, stratified_bootstrap
from deepobs_analysis.plots import layout
from deepobs_analysis.plots.common import comparison_of
from deepobs_analysis.plots.style import DOUBLE_COLUMN, SINGLE_COLUMN, styled
from deepobs_analysis.plots.words import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.measures import Interval
    from deepobs_analysis.plots.common import Comparison
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode

_ROOM_FOR_INTERVALS = 8


@styled
def comparison(results: Results, *, mode: Mode = "most") -> Figure:
    """Draw the probability that an optimizer (row) beats another one (column).

    It is the probability that a run of one has a better final test performance than a run of the
    other on the same problem, averaged over problems; in brackets its 95 % confidence interval.

    Args:
        results: The runs. Problems that not all optimizers were run on are left out.
        mode: Which setting of an optimizer is shown; see `select`.

    Raises:
        ArgumentError: There are fewer than two optimizers, or no problem that all were run on.
    """
    compared = comparison_of(results, mode)
    count = len(compared.optimizers)
    has_intervals = count <= _ROOM_FOR_INTERVALS
    width = min(DOUBLE_COLUMN, max(SINGLE_COLUMN, 1.3 + 0.72 * count))
    figure, (axes,) = layout.panels(1, width=width, height=0.55 + 0.42 * count)
    probabilities = np.full((count, count), np.nan)
    for row, column in itertools.permutations(range(count), 2):
        probability, interval = _probability(compared, row, column)
        probabilities[row, column] = probability
        _write(axes, row, column, probability, interval if has_intervals else None)
    image = axes.imshow(
        probabilities, cmap=_colours(), vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=22, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.outline.set_visible(False)
    bar.set_label("row beats column")
    names = [shown(name, 22) for name in compared.optimizers]
    longest = max(map(len, names))
    axes.set_xticks(range(count), names, rotation=0 if longest < 11 else 30)
    if longest >= 11:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), names)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    intervals = "In brackets: 95 % interval, bootstrap over seeds." if has_intervals else ""
    meaning = "How probable it is that a run of the row beats one of the column."
    layout.notes(figure, [meaning, intervals, compared.note])
    return figure


def _probability(compared: Comparison, row: int, column: int) -> tuple[float, Interval]:
    measure = partial(probability_of_improvement, higher_is_better=compared.higher_is_better)
    pair = compared.scores[row], compared.scores[column]
    interval = stratified_bootstrap(measure, *pair, generator=np.random.default_rng(0))
    return float(measure(*pair)), interval


def _write(
    axes: Axes, row: int, column: int, probability: float, interval: Interval | None
) -> None:
    ink = "white" if abs(probability - 0.5) > 0.4 else "black"
    axes.text(
        column, row, f"{probability:.2f}", ha="center", color=ink,
        va="center" if interval is None else "bottom",
    )  # fmt: skip
    if interval is not None:
        text = f"[{interval.low:.2f}, {interval.high:.2f}]"
        axes.text(column, row + 0.08, text, ha="center", va="top", color=ink, fontsize=6)


def _colours() -> Colormap:
    """From orange over white to purple: told apart by the colour-blind, too."""
    light = mpl.colormaps["PuOr"](np.linspace(0.14, 0.86, 256))
    return ListedColormap(light).with_extremes(bad="#f2f2f2")
