"""Which part of an axis to show, so that one bad optimizer does not flatten the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs_analysis.plots.layout import few_ticks, logarithmic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes

    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.results import Metric

_BEGINNING = 0.05
_OUTLYING_CURVE, _OUTLYING_SETTING = 8.0, 4.0
_MARGIN = 0.06
_DECADE = 10 * 10 ** (2 * _MARGIN)  # with the margins


class Limits(NamedTuple):
    """The ends of an axis.

    Attributes:
        low: The lower end.
        high: The upper end.
        is_logarithmic: Whether the axis is.
    """

    low: float
    high: float
    is_logarithmic: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value lies between the ends."""
        return bool(self.low <= value <= self.high)


def of_curves(curves: Mapping[str, Floats], *, higher_is_better: bool) -> Limits:
    """Limits for curves over epochs.

    The first epochs, a share of `_BEGINNING`, may leave the panel, and so may an optimizer that is
    much worse than the others are.

    Args:
        curves: Of each optimizer, shape (epochs + 1,).
        higher_is_better: Whether it is better to be high.
    """
    after = [each[min(len(each) - 1, round(_BEGINNING * len(each))) :] for each in curves.values()]
    best = [float(each.max() if higher_is_better else each.min()) for each in after]
    worst = [float(each.min() if higher_is_better else each.max()) for each in after]
    return around(best, worst, higher_is_better=higher_is_better, outlying=_OUTLYING_CURVE)


def of_settings(values: Sequence[float], metric: Metric) -> Limits:
    """Limits for the performances of settings, of which much worse ones than most may leave.

    Args:
        values: Performances of settings that completed, at least one.
        metric: What they are.
    """
    best = max(values) if metric.higher_is_better else min(values)
    return around([best] * len(values), values, higher_is_better=metric.higher_is_better)


def note_of(axes: Iterable[Axes]) -> str:
    """A sentence that says so where lines leave their panels, else nothing."""
    leaves = any(
        not low <= value <= high
        for panel in axes
        for low, high in [panel.get_ylim()]
        for line in panel.lines
        if line.get_marker() != "x"
        for value in np.asarray(line.get_ydata(), dtype=np.float64)
    )
    return "Much worse values lie outside the panels." if leaves else ""


def apply(axes: Axes, chosen: Limits) -> None:
    """Set the limits and the scale of a y axis."""
    if chosen.is_logarithmic:
        logarithmic(axes, "y", chosen.low, chosen.high)
    else:
        axes.set_ylim(chosen.low, chosen.high)
        few_ticks(axes, "y")


def around(
    best: Sequence[float],
    worst: Sequence[float],
    *,
    higher_is_better: bool,
    outlying: float = _OUTLYING_SETTING,
) -> Limits:
    """Limits that hold the values of optimizers, but for those that are far off.

    A value is far off where it is `outlying` times as far from the best of all as the median of
    the worst values is.

    Args:
        best: The best value of each optimizer.
        worst: The worst one of each.
        higher_is_better: Whether it is better to be high. Else the axis is logarithmic where the
            values are positive and span more than a factor of ten.
        outlying: See above.
    """
    values = np.array([best, worst])
    if not higher_is_better and values.min() > 0:
        low, high = np.exp(_around(np.log(values), outlying, higher_is_better=False))
        if high / low > _DECADE:
            return Limits(float(low), float(high), is_logarithmic=True)
    return Limits(*_around(values, outlying, higher_is_better=higher_is_better))


def _around(values: Floats, outlying: float, *, higher_is_better: bool) -> tuple[float, float]:
    top = values[0].max() if higher_is_better else values[0].min()
    distances = np.abs(values - top)
    near = values[distances <= outlying * np.median(distances[1])]
    margin = _MARGIN * (near.max() - near.min()) or abs(top) * _MARGIN or 1.0
    return float(near.min() - margin), float(near.max() + margin)
