"""Figures with panels, a legend for all of them, and notes below."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Literal

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from deepobs.errors import ArgumentError
from deepobs_analysis.plots.style import DOUBLE_COLUMN, FAINT, SMALL, looks
from deepobs_analysis.plots.words import shown
from deepobs_analysis.results import REFERENCE_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from deepobs_analysis.plots.style import Look

_LETTER = 0.062
"""Width in inches of a letter of a legend, on average."""

_LINE_HEIGHT = 0.17

TITLE_PAD = 4.5
"""Points between a panel and its title, enough for an underscore."""


def panels(
    count: int,
    *,
    columns: int = 4,
    height: float = 1.45,
    width: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure with a number of panels, row by row.

    Args:
        count: How many, 1 or more.
        columns: How many there are in a row at most.
        height: Height of a panel in inches.
        width: Width of the figure in inches; `None` for what suits the number of panels.
    """
    across = min(count, columns)
    down = math.ceil(count / across)
    natural = DOUBLE_COLUMN if across > 1 else DOUBLE_COLUMN * 0.6
    figure = Figure(figsize=(width or natural, down * height), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for left_over in axes[count:]:
        left_over.remove()
    return figure, axes[:count]


def require_something(things: Sequence[object], what: str, next_step: str) -> None:
    """Refuse to draw nothing.

    Raises:
        ArgumentError: There is nothing.
    """
    if not things:
        raise ArgumentError(f"There is nothing to draw: {what}. {next_step}")


def optimizers_in_order(names: Iterable[str]) -> list[str]:
    """Names of optimizers, sorted, those of a reference set last."""
    return sorted(set(names), key=lambda name: (name.endswith(REFERENCE_SUFFIX), name))


def legend(
    figure: Figure,
    optimizers: Iterable[str],
    *,
    further: Sequence[Artist] = (),
    with_markers: bool = False,
    with_lines: bool = True,
    title: str | None = None,
) -> None:
    """Say above all panels which optimizer is which.

    Args:
        figure: The figure, which becomes higher by what the legend takes.
        optimizers: Their names.
        further: What else to explain, each with its label.
        with_markers: Whether to show the markers.
        with_lines: Whether to show the lines.
        title: What the whole figure shows.
    """
    names = optimizers_in_order(optimizers)
    styles = looks(names)
    handles: list[Artist] = [
        handle(styles[name], shown(name), with_marker=with_markers, with_line=with_lines)
        for name in names
    ]
    handles += further
    legend_of(figure, handles, title=title)


def legend_of(figure: Figure, handles: Sequence[Artist], *, title: str | None = None) -> None:
    """Explain artists above all panels, each by its label.

    Args:
        figure: The figure, which becomes higher by what the legend takes.
        handles: The artists.
        title: What the whole figure shows.
    """
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


def handle(look: Look, label: str, *, with_marker: bool, with_line: bool = True) -> Line2D:
    """A piece of the line of an optimizer, for a legend."""
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.line if with_line else "none",
        marker=look.marker if with_marker else "none",
        alpha=look.alpha,
        label=label,
    )


def notes(figure: Figure, sentences: Iterable[str]) -> None:
    """Say below all panels what is to be known about them, in small letters.

    Args:
        figure: The figure, which becomes higher by what the text takes.
        sentences: Whole sentences; empty ones are left out.
    """
    text = " ".join(sentence for sentence in sentences if sentence)
    if not text:
        return
    lines = textwrap.wrap(text, int(figure.get_figwidth() / 0.0525))
    figure.set_figheight(figure.get_figheight() + len(lines) * 0.125 + 0.05)
    figure.supxlabel(
        "\n".join(lines), x=0.01, ha="left", fontsize=SMALL, color=FAINT, linespacing=1.25
    )


def title(axes: Axes, text: str) -> None:
    """What a panel shows, above it."""
    axes.set_title(shown(text, 26), loc="left", pad=TITLE_PAD)


def logarithmic(axes: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """Make an axis logarithmic, with as many ticks as a small panel has room for.

    Args:
        axes: The panel.
        which: The axis.
        low: Its lower end.
        high: Its upper end.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    few_decades(axis, low, high)


def few_decades(axis: Axis, low: float, high: float) -> None:
    """Put only a few ticks on a logarithmic axis, and numbers without powers if it is short."""
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


def label_panels(axes: Sequence[Axes], x: str, y: Sequence[str]) -> None:
    """Label what lies at the border: x below each column, y where it is not as further left.

    Args:
        axes: The panels of a figure, row by row.
        x: What all x axes show.
        y: What each y axis shows.
    """
    columns = columns_of(axes[0])
    is_shared = len(set(y)) == 1
    for place, (panel, label) in enumerate(zip(axes, y, strict=True)):
        if place + columns >= len(axes):
            panel.set_xlabel(x)
        if place % columns == 0 or not is_shared:
            panel.set_ylabel(label)


def cross_out(axes: Axes, places: Sequence[float], row: int, look: Look, *, at_top: bool) -> None:
    """Mark where an optimizer diverged, at the end of the y axis that is worse.

    Args:
        axes: The panel.
        places: Where on the x axis.
        row: A number for the optimizer, so that several do not hide each other.
        look: What stands for the optimizer.
        at_top: Whether the worse end is the upper one.
    """
    depth = 0.03 + 0.055 * row
    height = 1 - depth if at_top else depth
    axes.plot(
        places,
        [height] * len(places),
        "x",
        color=look.colour,
        alpha=look.alpha,
        markersize=3,
        transform=axes.get_xaxis_transform(),
    )


def columns_of(axes: Axes) -> int:
    """How many panels stand in a row of the figure that a panel is of."""
    place = axes.get_subplotspec()
    return 1 if place is None else int(place.get_gridspec().ncols)
