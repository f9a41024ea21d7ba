"""The values that a page shows where the pointer is on a panel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator

from deepobs.console.text import clean
from deepobs_analysis.wording import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.report_series import Series


def data_of(axes: Axes, series: Series) -> dict[str, Any]:
    """What is drawn in a panel, in numbers.

    Returns:
        Of each axis its limits, scale and label, the names of its ticks if they are names; and the
        `series`: a name, the number of the optimizer, and lists of equal lengths: `x`, `y`, and
        where known `low`, `high` and `text`.
    """
    owners = dict(series.owners(axes))
    return {
        "x": _axis(axes.xaxis, axes.get_xlim(), axes.get_xlabel()),
        "y": _axis(axes.yaxis, axes.get_ylim(), axes.get_ylabel()),
        "series": [*_lines(axes, owners, series), *_bars(axes), *_cells(axes), *_described(axes)],
    }


def _axis(axis: Axis, limits: tuple[float, float], label: str) -> dict[str, Any]:
    # Names of rows and columns say more than their numbers.
    is_fixed = isinstance(axis.get_major_locator(), FixedLocator)
    names = _tick_labels(axis) if is_fixed else []
    is_named = not any(_is_number(name) for name in names)
    return {
        "limits": [_short(limit) for limit in limits],
        "log": axis.get_scale() == "log",
        "label": _plain(label),
        "names": [_plain(name) for name in names] if is_named else [],
    }


def _tick_labels(axis: Axis) -> list[str]:
    return [each.get_text() for each in axis.get_majorticklabels()]


def _lines(axes: Axes, owners: dict[Artist, int], series: Series) -> Iterable[dict[str, Any]]:
    ranges: dict[int, dict[float, tuple[float, float]]] = {}
    for artist, owner in owners.items():
        if isinstance(artist, (PolyCollection, LineCollection)):
            ranges.setdefault(owner, {}).update(_ranges(artist))
    for line in axes.lines:
        # Crosses of diverged runs and lines through the panel have coordinates of the panel.
        if not line.get_transform().contains_branch(axes.transData) or line not in owners:
            continue
        owner = owners[line]
        x, y = (np.asarray(values, float) for values in (line.get_xdata(), line.get_ydata()))
        found = [ranges.get(owner, {}).get(float(place), (None, None)) for place in x]
        ends = {"low": [low for low, _ in found], "high": [high for _, high in found]}
        has_range = len(x) > 1 and any(low is not None for low in ends["low"])
        yield {
            "name": clean(series.names[owner]),
            "owner": owner,
            "step": line.get_drawstyle() == "steps-post",
            "x": [_short(value) for value in x],
            "y": [_short(value) for value in y],
            **({key: [_short(v) for v in values] for key, values in ends.items() if has_range}),
        }


def _ranges(artist: PolyCollection | LineCollection) -> dict[float, tuple[float, float]]:
    """The lowest and the highest point of a band, or of error bars, at each x."""
    found: dict[float, tuple[float, float]] = {}
    for path in artist.get_paths():
        for x, y in np.asarray(path.vertices, float):
            low, high = found.get(x, (y, y))
            found[float(x)] = (min(low, y), max(high, y))
    return found


def _bars(axes: Axes) -> Iterable[dict[str, Any]]:
    for container in axes.containers:
        patches = [each for each in container if hasattr(each, "get_width")]
        if patches:
            yield {
                "name": _plain(str(container.get_label())),
                "x": [_short(each.get_x() + each.get_width() / 2) for each in patches],
                "y": [_short(each.get_y() + each.get_height() / 2) for each in patches],
                "text": [number(each.get_width(), 3) for each in patches],
            }


def _cells(axes: Axes) -> Iterable[dict[str, Any]]:
    if not axes.images:
        return
    rows, columns = map(_tick_labels, (axes.yaxis, axes.xaxis))
    for image in axes.images:
        values: Floats = np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan)
        if values.shape != (len(rows), len(columns)):
            continue
        for (row, column), value in np.ndenumerate(values):
            if math.isfinite(value):
                yield {
                    "name": f"row {rows[row]}, column {columns[column]}",
                    "x": [column],
                    "y": [row],
                    "text": [number(float(value), 3)],
                }


def _described(axes: Axes) -> Iterable[dict[str, Any]]:
    """The configurations of a figure of two hyperparameters, whose marks say what they show."""
    for mark in (*axes.patches, *axes.lines):
        name, colon, text = str(mark.get_label()).rpartition(": ")
        if colon and isinstance(mark, (Rectangle, Line2D)):
            places = [mark.get_center()] if isinstance(mark, Rectangle) else mark.get_xydata()
            x, y = np.asarray(places, float)[0]
            yield {"name": name, "x": [_short(x)], "y": [_short(y)], "text": [text]}


def _is_number(text: str) -> bool:
    try:
        float(text.replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        return not text
    return True


def _plain(text: str) -> str:
    """A text of a figure as people read it."""
    return text.replace(r"\$", "$")


def _short(value: float | None) -> float | None:
    """Six digits are more than a panel shows; JSON has no number that is not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
