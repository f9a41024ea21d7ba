"""Figures with panels, limits and ticks of their axes, a legend above and notes below."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from deepobs_analysis.plots.rendering import ShownFigure
from deepobs_analysis.plots.style import DOUBLE_COLUMN, FAINT, SMALL, looks, shown
from deepobs_analysis.results import REFERENCE_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.plots.style import Look
    from deepobs_analysis.results import Metric

# Average width in inches of a letter of a legend: measuring the text would draw the figure twice.
_LETTER = 0.062
_LINE_HEIGHT = 0.17

TITLE_PAD = 4.5
"""Points between a panel and its title, enough for an underscore."""

_BEGINNING = 0.05
_OUTLYING_CURVE, _OUTLYING_CONFIGURATION = 8.0, 4.0
_MARGIN = 0.06
_DECADE = 10 * 10 ** (2 * _MARGIN)  # with the margins


class Limits(NamedTuple):
    """The ends of an axis, and whether it is logarithmic."""

    low: float
    high: float
    is_logarithmic: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value lies between the ends."""
        return bool(self.low <= value <= self.high)

    def apply(self, axes: Axes) -> None:
        """Set the limits, the scale and the ticks of the y axis of a panel."""
        if self.is_logarithmic:
            logarithmic(axes, "y", self.low, self.high)
        else:
            axes.set_ylim(self.low, self.high)
            few_ticks(axes, "y")


def panels(
    count: int, *, columns: int = 4, height: float = 1.45, width: float | None = None
) -> tuple[Figure, list[Axes]]:
    """Create a figure with panels row by row; height of a panel and width of all in inches."""
    across = min(count, columns)
    down = math.ceil(count / across)
    natural = DOUBLE_COLUMN if across > 1 else DOUBLE_COLUMN * 0.6
    figure = ShownFigure(figsize=(width or natural, down * height), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def optimizers_in_order(names: Iterable[str]) -> list[str]:
    """Names of optimizers, sorted, those of a reference set last."""
    return sorted(set(names), key=lambda name: (name.endswith(REFERENCE_SUFFIX), name))


def legend(
    figure: Figure,
    optimizers: Iterable[str],
    *,
    further: Sequence[Artist] = (),
    with_markers: bool = False,
    title: str | None = None,
) -> None:
    """Explain above all panels which optimizer is which, and `further` artists by their labels."""
    names = optimizers_in_order(optimizers)
    styles = looks(names)
    handles = [
        Line2D(
            [],
            [],
            **styles[name].stroke,
            marker=styles[name].marker if with_markers else "none",
            label=shown(name),
        )
        for name in names
    ]
    legend_of(figure, [*handles, *further], title=title)


def legend_of(figure: Figure, handles: Sequence[Artist], *, title: str | None = None) -> None:
    """Explain artists above all panels, each by its label; the figure grows by the legend."""
    # Matplotlib's own layout would shrink the panels by the legend instead of making room for it.
    labels = [str(each.get_label()) for each in handles]
    width = figure.get_figwidth()
    columns = max(1, min(len(labels), int(width / (_LETTER * max(map(len, labels)) + 0.55))))
    rows = math.ceil(len(labels) / columns) + (title is not None)
    figure.set_figheight(figure.get_figheight() + rows * _LINE_HEIGHT + 0.08)
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=columns,
        columnspacing=1.4,
        handlelength=2.2,
        borderaxespad=0.2,
        title=title,
        title_fontsize=9.0,
    )


def notes(figure: Figure, sentences: Iterable[str]) -> None:
    """Write sentences below all panels in small letters; the figure grows by the text."""
    text = " ".join(sentence for sentence in sentences if sentence)
    if not text:
        return
    lines = textwrap.wrap(text, int(figure.get_figwidth() / 0.0525))
    figure.set_figheight(figure.get_figheight() + len(lines) * 0.125 + 0.05)
    figure.supxlabel(
        "\n".join(lines), x=0.01, ha="left", fontsize=SMALL, color=FAINT, linespacing=1.25
    )


def title(axes: Axes, text: str) -> None:
    """Write what a panel shows above it."""
    axes.set_title(shown(text, 26), loc="left", pad=TITLE_PAD)


def label_panels(axes: Sequence[Axes], x: str, y: Sequence[str]) -> None:
    """Label the outer panels: x below columns, y where it differs from the panel on the left."""
    place_of_first = axes[0].get_subplotspec()
    columns = 1 if place_of_first is None else int(place_of_first.get_gridspec().ncols)
    is_shared = len(set(y)) == 1
    for place, (panel, label) in enumerate(zip(axes, y, strict=True)):
        if place + columns >= len(axes):
            panel.set_xlabel(x)
        if place % columns == 0 or not is_shared:
            panel.set_ylabel(label)


def rows_of_names(axes: Axes, labels: Sequence[str]) -> None:
    """Give a panel a row per name, the first one at the top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def cross_out(axes: Axes, places: Sequence[float], row: int, look: Look, *, at_top: bool) -> None:
    """Mark where an optimizer diverged, at the worse end of the y axis.

    Optimizers have different rows, so that their crosses do not hide each other.
    """
    # In coordinates of the panel: the loss of a diverged run would stretch the axis.
    depth = 0.03 + 0.055 * row
    axes.plot(
        places,
        [1 - depth if at_top else depth] * len(places),
        "x",
        color=look.color,
        alpha=look.alpha,
        markersize=3,
        transform=axes.get_xaxis_transform(),
    )


def logarithmic(axes: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """Create an axis logarithmic, with as many ticks as a small panel has room for."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    few_decades(axis, low, high)


def few_decades(axis: Axis, low: float, high: float) -> None:
    """Put only a few ticks on a logarithmic axis, and plain numbers if it is short."""
    if high / low < 50:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
    else:
        axis.set_major_locator(LogLocator(numticks=5))
    axis.set_minor_formatter(NullFormatter())


def few_ticks(axes: Axes, which: str, most: int = 4, *, integer: bool = False) -> None:
    """Put only a few ticks on an axis, as small panels need them."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(most, integer=integer, steps=[1, 2, 2.5, 5, 10]))


def limits_of_curves(curves: Mapping[str, Floats], *, higher_is_better: bool) -> Limits:
    """Limits for the curves over epochs of each optimizer, shape (epochs + 1,).

    The first epochs, a share of `_BEGINNING`, may lie outside, and so may an optimizer that is much
    worse than the others are.
    """
    # Losses before training can be orders of magnitude larger than all that follows.
    after = [each[min(len(each) - 1, round(_BEGINNING * len(each))) :] for each in curves.values()]
    best = [float(each.max() if higher_is_better else each.min()) for each in after]
    worst = [float(each.min() if higher_is_better else each.max()) for each in after]
    return limits_around(best, worst, higher_is_better=higher_is_better, outlying=_OUTLYING_CURVE)


def limits_of_configurations(values: Sequence[float], metric: Metric) -> Limits:
    """Limits for performances of configurations; those much worse than most may lie outside."""
    best = max(values) if metric.higher_is_better else min(values)
    return limits_around([best] * len(values), values, higher_is_better=metric.higher_is_better)


def limits_around(
    best: Sequence[float],
    worst: Sequence[float],
    *,
    higher_is_better: bool,
    outlying: float = _OUTLYING_CONFIGURATION,
) -> Limits:
    """Limits that hold the best and the worst value of each optimizer, except those far off.

    A value is far off where it is `outlying` times as far from the best of all as the median of
    the worst values is. For losses, the axis is logarithmic if the values are positive and span
    more than a factor of ten.
    """
    # Of losses on a logarithmic axis, what is far off is judged by logarithms as well.
    values = np.array([best, worst])
    if not higher_is_better and values.min() > 0:
        low, high = np.exp(_around(np.log(values), outlying, higher_is_better=False))
        if high / low > _DECADE:
            return Limits(float(low), float(high), is_logarithmic=True)
    return Limits(*_around(values, outlying, higher_is_better=higher_is_better))


def note_of_limits(axes: Iterable[Axes]) -> str:
    """A sentence that says so where lines leave their panels, else nothing."""
    leaves = any(
        not low <= value <= high
        for panel in axes
        for low, high in [panel.get_ylim()]
        for line in panel.lines
        if line.get_marker() != "x"  # crosses of `cross_out` are in the coordinates of the panel
        for value in np.asarray(line.get_ydata(), dtype=np.float64)
    )
    return "Much worse values lie outside the panels." if leaves else ""


def _around(values: Floats, outlying: float, *, higher_is_better: bool) -> tuple[float, float]:
    top = values[0].max() if higher_is_better else values[0].min()
    distances = np.abs(values - top)
    near = values[distances <= outlying * np.median(distances[1])]
    margin = _MARGIN * (near.max() - near.min()) or abs(top) * _MARGIN or 1.0
    return float(near.min() - margin), float(near.max() + margin)
