"""Curves of the settings that stand for optimizers: a centre, and a band for what seeds do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from deepobs.errors import ArgumentError, closest, sentences
from deepobs_analysis.measures import (
    mean_and_deviation,
    mean_score,
    quartiles,
    stratified_bootstrap,
)
from deepobs_analysis.plots import limits
from deepobs_analysis.plots.layout import few_ticks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.plots.style import Look
    from deepobs_analysis.selection import Selection

Show: TypeAlias = Literal["mean", "median", "interval"]
SHOWS: tuple[Show, ...] = get_args(Show)

EXPLANATIONS: dict[Show, str] = {
    "mean": "Lines: mean over seeds; bands: standard deviation.",
    "median": "Lines: median over seeds; bands: quartiles.",
    "interval": "Lines: mean over seeds; bands: its 95 % confidence interval (bootstrap).",
}
"""What lines and bands are."""


class Band(NamedTuple):
    """A curve and what surrounds it, each of shape (epochs + 1,)."""

    low: Floats
    centre: Floats
    high: Floats


class Drawn(NamedTuple):
    """What became of the curves of a panel.

    Attributes:
        leaves_out: Whether parts of curves lie outside the panel.
        hidden: Optimizers that end outside it.
    """

    leaves_out: bool
    hidden: list[str]


def require_show(show: str) -> None:
    """Refuse what curves cannot show.

    Raises:
        ArgumentError: It is none of `SHOWS`.
    """
    if show not in SHOWS:
        message = f"Curves show one of {', '.join(SHOWS)}; {show!r} is none of them."
        raise ArgumentError(sentences(message, closest(str(show), SHOWS)))


def band(values: Floats, show: Show) -> Band:
    """Sum up the curves of seeds.

    Args:
        values: Shape (seeds, epochs + 1).
        show: What to show of them.
    """
    if show == "mean":
        rows = [_deviations(epoch) for epoch in values.T]
    elif show == "median":
        rows = [_quartiles(epoch) for epoch in values.T]
    else:
        rows = [_interval(epoch) for epoch in values.T]
    low, centre, high = np.array(rows).T
    return Band(low, centre, high)


def draw_curves(
    axes: Axes,
    selections: Sequence[Selection],
    curve: str,
    looks: Mapping[str, Look],
    *,
    show: Show = "mean",
    target: float | None = None,
) -> Drawn:
    """Draw a curve of each optimizer over epochs.

    Args:
        axes: Where to.
        selections: Of one problem, one for each optimizer. Those that lack the curve are left out.
        curve: Name of the curve, one of `CURVES`.
        looks: What stands for each optimizer.
        show: What to show of the seeds.
        target: Where to draw a line for what counts as solved; `None` for nowhere.
    """
    bands = {
        each.optimizer: band(each.measured(curve), show)
        for each in selections
        if each.runs[curve].notna().all()
    }
    for name, (low, centre, high) in bands.items():
        look, epochs = looks[name], np.arange(len(centre))
        axes.plot(epochs, centre, **look.stroke, label=name)
        if not np.array_equal(low, high):
            axes.fill_between(epochs, low, high, color=look.colour, alpha=0.2, linewidth=0)
    if target is not None:
        axes.axhline(target, color="black", linewidth=0.7, linestyle=(0, (3, 3)), zorder=1.5)
    return _limit(axes, bands, higher_is_better=curve.endswith("accuracies"))


def _limit(axes: Axes, bands: Mapping[str, Band], *, higher_is_better: bool) -> Drawn:
    centres = {name: each.centre for name, each in bands.items()}
    chosen = limits.of_curves(centres, higher_is_better=higher_is_better)
    limits.apply(axes, chosen)
    axes.set_xlim(0, max(1, *(len(centre) - 1 for centre in centres.values())))
    few_ticks(axes, "x", integer=True)
    hidden = [name for name, centre in centres.items() if not chosen.holds(centre[-1])]
    return Drawn(not all(chosen.holds(v) for c in centres.values() for v in c), hidden)


def _deviations(values: Floats) -> tuple[float, float, float]:
    mean, deviation = mean_and_deviation(values)
    return mean - deviation, mean, mean + deviation


def _quartiles(values: Floats) -> tuple[float, float, float]:
    lower, median, upper = quartiles(values)
    return lower, median, upper


def _interval(values: Floats) -> tuple[float, float, float]:
    # The same seed for every epoch draws the same seeds, so that bands are smooth.
    generator = np.random.default_rng(0)
    low, high = stratified_bootstrap(mean_score, [values], generator=generator)
    return low, float(values.mean()), high
