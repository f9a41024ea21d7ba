"""How often an optimizer is the best, the second, ... and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from deepobs_analysis.measures import rank_distribution
from deepobs_analysis.plots import layout
from deepobs_analysis.plots.common import comparison_of
from deepobs_analysis.plots.style import DOUBLE_COLUMN, SMALL, looks, styled
from deepobs_analysis.plots.words import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode

_ROOM_FOR_A_NUMBER = 0.07


@styled
def ranks(results: Results, *, mode: Mode = "most") -> Figure:
    """Draw how the ranks of optimizers by final test performance are distributed.

    Left are the shares of rank 1, 2, ... over problems and bootstrap samples of the seeds; right is
    the mean rank with a 95 % confidence interval.

    Args:
        results: The runs. Problems that not all optimizers were run on are left out.
        mode: Which setting of an optimizer is shown; see `select`.

    Raises:
        ArgumentError: There are fewer than two optimizers, or no problem that all were run on.
    """
    compared = comparison_of(results, mode)
    distribution = rank_distribution(
        compared.scores,
        higher_is_better=compared.higher_is_better,
        generator=np.random.default_rng(0),
    )
    order = np.argsort(distribution.mean_ranks, kind="stable")
    names = [compared.optimizers[place] for place in order]
    figure, (left, right) = layout.panels(
        2, columns=2, height=0.75 + 0.24 * len(names), width=DOUBLE_COLUMN
    )
    _draw_shares(left, distribution.shares[order])
    styles = looks(results.optimizers)
    for row, place in enumerate(order):
        look, interval = styles[names[row]], distribution.intervals[place]
        right.plot(interval, [row, row], color=look.colour, alpha=look.alpha, linewidth=2.2)
        right.plot(
            [distribution.mean_ranks[place]],
            [row],
            look.marker,
            color=look.colour,
            markersize=5.5,
            alpha=look.alpha,
        )
    right.set(xlabel="mean rank (95 % interval)", xlim=(0.75, len(names) + 0.25))
    layout.few_ticks(right, "x", 6)
    for axes, labels in ((left, [shown(name) for name in names]), (right, [""] * len(names))):
        axes.set_yticks(range(len(names)), labels)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
    layout.notes(figure, ["Bootstrap over seeds.", compared.note])
    return figure


def _draw_shares(axes: Axes, shares: Floats) -> None:
    colours = mpl.colormaps["cividis"](np.linspace(0.08, 0.95, shares.shape[1]))
    starts = np.cumsum(shares, axis=1) - shares
    for rank, colour in enumerate(colours):
        rows = np.arange(len(shares))
        axes.barh(
            rows, shares[:, rank], left=starts[:, rank], color=colour, height=0.72,
            label=f"rank {rank + 1}",
        )  # fmt: skip
        ink = "white" if np.mean(colour[:3]) < 0.5 else "black"
        for row in rows[shares[:, rank] > _ROOM_FOR_A_NUMBER]:
            centre = starts[row, rank] + shares[row, rank] / 2
            axes.text(
                centre, row, str(rank + 1), ha="center", va="center", color=ink, fontsize=SMALL
            )
    axes.set(xlabel="share of problems and samples at each rank", xlim=(0, 1))
    axes.grid(visible=False)
