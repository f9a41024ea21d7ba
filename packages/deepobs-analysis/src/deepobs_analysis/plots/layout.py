"""Figures with panels, a legend above and notes below."""

from __future__ import annotations

import math
import re
import textwrap
from itertools import accumulate
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from deepobs.console.text import clean
from deepobs_analysis.plots.appearance import current
from deepobs_analysis.plots.looks import looks
from deepobs_analysis.plots.rendering import ShownFigure
from deepobs_analysis.plots.style import (
    DOUBLE_COLUMN,
    ResultFigure,
    called,
    faint,
    scale,
    shown,
    text_size,
    verbatim,
)
from deepobs_analysis.reference_names import suffix_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.text import Text

    from deepobs_analysis.plots.looks import Look

LETTER = 0.062
"""Average width in inches of a letter of usual size: measuring text would draw figures twice."""

_LINE_HEIGHT = 0.17
_HANDLE = 0.55  # inches of a line in a legend, and around it
_BESIDE, _WITHIN = 0.5, 0.6  # the shares of a panel that names on its left, or in it, may take
_NARROWEST_PANEL = 1.5
_TICKS = 3  # letters between names and their panel
_LONGEST_TITLE = 34  # as wide as a panel of a report

TITLE_PAD = 4.5
"""Points between a panel and its title, enough for an underscore."""

SMALL, SMALLEST = 0.875, 0.75
"""Sizes of small text relative to the usual one."""


def panels(
    count: int,
    *,
    columns: int = 4,
    height: float = 1.45,
    width: float | None = None,
    narrowest: float = _NARROWEST_PANEL,
) -> tuple[ResultFigure, list[Axes]]:
    """Create a figure with panels row by row.

    Args:
        count: How many panels it has.
        columns: How many stand beside each other at most; fewer if they do not fit.
        height: Of a panel, in inches.
        width: Of the figure in inches, unless the user sets another.
        narrowest: The least width of a panel in inches.
    """
    across = min(count, fitting(columns, narrowest))
    down = math.ceil(count / across)
    natural = width or (DOUBLE_COLUMN if min(count, columns) > 1 else DOUBLE_COLUMN * 0.6)
    size = (current().width or natural, down * height)
    figure = ShownFigure(figsize=size, layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def fitting(columns: int, narrowest: float = _NARROWEST_PANEL) -> int:
    """How many of these columns of panels fit beside each other."""
    width = current().width or DOUBLE_COLUMN
    return min(columns, max(1, int(width / (narrowest * max(1.0, scale())))))


def drop_empty_rows(figure: ResultFigure, height: float) -> None:
    """Take out the rows of panels, `height` inches each, that lost all of their panels."""
    rows = {_place(axes).rowspan.start for axes in figure.axes}
    grid = _place(figure.axes[0]).get_gridspec()
    # A grid keeps its number of rows.
    grid.set_height_ratios([1 if row in rows else 1e-3 for row in range(grid.nrows)])
    figure.set_figheight(figure.get_figheight() - (grid.nrows - len(rows)) * height)


def in_order(names: Iterable[str]) -> list[str]:
    """Names of optimizers: first those that the option `order` names, references last."""
    order = current().order

    def place(name: str) -> tuple[int, bool, str]:
        first = order.index(name) if name in order else len(order)
        return first, bool(suffix_of(name)), name

    return sorted(set(names), key=place)


def legend(
    figure: ResultFigure,
    optimizers: Iterable[str],
    *,
    further: Sequence[Artist] = (),
    title: str | None = None,
) -> None:
    """Explain above all panels which optimizer is which, and `further` artists by their labels."""
    names = in_order(optimizers)
    styles = looks(names)
    handles = [Line2D([], [], **styles[name].stroke(), **styles[name].marks()) for name in names]
    room = letters_of_legend(figure)
    entries = [(handle, called(name, room)) for handle, name in zip(handles, names, strict=True)]
    legend_of(figure, [*entries, *((each, str(each.get_label())) for each in further)], title=title)
    for text, name in zip(figure.legends[0].get_texts(), names, strict=False):
        emphasize(text, name)


def legend_of(
    figure: ResultFigure, entries: Sequence[tuple[Artist, str]], *, title: str | None = None
) -> None:
    """Explain artists above all panels, each by a text; the figure grows by the legend."""
    # Matplotlib's own layout would shrink the panels by the legend instead of making room for it.
    labels = [text for _, text in entries]
    width = figure.get_figwidth() / scale()
    fitting = (n for n in range(len(labels), 1, -1) if _width_of_legend(labels, n) <= width)
    columns = next(fitting, 1)
    # Rows of about equal length: one alone in the last row looks like an oversight.
    columns = math.ceil(len(labels) / math.ceil(len(labels) / columns))
    rows = math.ceil(len(labels) / columns) + (title is not None)
    figure.set_figheight(figure.get_figheight() + scale() * (rows * _LINE_HEIGHT + 0.08))
    figure.legend(
        [handle for handle, _ in entries],
        labels,
        loc="outside upper center",
        ncols=columns,
        columnspacing=1.4,
        handlelength=2.4,
        borderaxespad=0.2,
        title=title,
    )


def _width_of_legend(labels: Sequence[str], columns: int) -> float:
    """Inches that a legend takes, whose columns are as wide as their longest labels."""
    # As Matplotlib fills them: the first columns are one row longer, if not all are equally long.
    rows, longer = divmod(len(labels), columns)
    ends = list(accumulate(rows + (place < longer) for place in range(columns)))
    widths = (
        max(map(len, labels[start:end]), default=0)
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    )
    return sum(LETTER * width + _HANDLE for width in widths)


def letters_of_legend(figure: ResultFigure) -> int:
    """How many letters of a name have room in a legend above a figure."""
    return int((figure.get_figwidth() / scale() - _HANDLE) / LETTER)


def letters_beside(axes: Axes) -> int:
    """How many letters of a name have room on the left of a panel."""
    return int(_BESIDE * _letters_across(axes))


def letters_within(axes: Axes) -> int:
    """How many letters of small text have room in a panel."""
    return int(_WITHIN * _letters_across(axes))


def _letters_across(axes: Axes) -> float:
    figure = axes.get_figure()
    assert figure is not None  # noqa: S101 # panels are in one
    width = figure.bbox.width / figure.dpi / _place(axes).get_gridspec().ncols
    return float(width / (LETTER * SMALL * scale()))


def emphasize(text: Text, optimizer: str) -> None:
    """Write the name of an optimizer in bold, if it is highlighted."""
    if optimizer in current().highlight:
        text.set_fontweight("bold")


def notes(figure: ResultFigure, sentences: Iterable[str]) -> None:
    """Keep sentences as the figure's notes, and write them below all panels in small letters.

    The figure grows by the text.
    """
    figure.notes = clean(" ".join(sentence for sentence in sentences if sentence))
    if not figure.notes or current().notes != "figure":
        return
    lines = textwrap.wrap(figure.notes, int(figure.get_figwidth() / (0.06 * scale())))
    figure.set_figheight(figure.get_figheight() + scale() * (len(lines) * 0.125 + 0.05))
    figure.supxlabel(
        verbatim("\n".join(lines)),
        x=0.01,
        ha="left",
        fontsize=text_size(SMALL),
        color=faint(),
        linespacing=1.25,
    )


def titles(
    figure: ResultFigure,
    axes: Sequence[Axes],
    texts: Sequence[str],
    relative_size: float = 1.06,
    *,
    beside: int = 0,
) -> None:
    """Write what each panel shows above it; the figure grows by titles of two lines.

    Args:
        figure: The figure.
        axes: The panels.
        texts: Their titles.
        relative_size: Of the letters.
        beside: How many small letters names on the left of a panel have.
    """
    width = figure.get_figwidth() / _place(axes[0]).get_gridspec().ncols
    width -= (beside + _TICKS * (beside > 0)) * LETTER * SMALL * scale()
    longest = min(int(width / (LETTER * relative_size * scale())), _LONGEST_TITLE)
    rows_with_two = set()
    for panel, text in zip(axes, texts, strict=True):
        lines = in_lines(text, longest)
        size = text_size(relative_size)
        panel.set_title("\n".join(lines), loc="left", pad=TITLE_PAD, fontsize=size)
        if len(lines) > 1:
            rows_with_two.add(_place(panel).rowspan.start)
    line = _LINE_HEIGHT * relative_size * scale()
    figure.set_figheight(figure.get_figheight() + len(rows_with_two) * line)


def in_lines(text: str, longest: int) -> list[str]:
    """A name in one line, or in two: "problem (epochs = 10)" is broken at its parenthesis."""
    name = clean(text)
    parts = [name] if len(name) <= longest else re.split(r" (?=\()|(?<=:) ", name, maxsplit=1)
    return [shown(part, longest) for part in parts]


def label_panels(axes: Sequence[Axes], x: str, y: Sequence[str]) -> None:
    """Label the outer panels: x below columns, y where it differs from the panel on the left."""
    columns = int(_place(axes[0]).get_gridspec().ncols)
    is_shared = len(set(y)) == 1
    for place, (panel, label) in enumerate(zip(axes, y, strict=True)):
        if place + columns >= len(axes):
            panel.set_xlabel(x)
        if place % columns == 0 or not is_shared:
            panel.set_ylabel(label)


def rows_of_optimizers(axes: Axes, optimizers: Sequence[str]) -> None:
    """Give a panel a row for each optimizer, the first one at the top."""
    rows_of_names(axes, [called(name, letters_beside(axes)) for name in optimizers])
    for label, name in zip(axes.get_yticklabels(), optimizers, strict=True):
        emphasize(label, name)


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
    depth = 0.05 + 0.055 * row
    axes.plot(
        places,
        [1 - depth if at_top else depth] * len(places),
        "x",
        color=look.color,
        alpha=look.alpha,
        markersize=3,
        label=look.name,
        transform=axes.get_xaxis_transform(),
    )


def _place(axes: Axes) -> SubplotSpec:
    place = axes.get_subplotspec()
    assert place is not None  # noqa: S101 # panels stand in a grid
    return place
