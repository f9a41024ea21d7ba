"""Axes of figures: their limits, scales and ticks, chosen so that differences are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from deepobs_analysis.plots.appearance import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.results import Metric

    Bools: TypeAlias = npt.NDArray[np.bool_]

_BEGINNING = 0.05
"""Share of the epochs whose values do not tell whether an optimizer is far off."""

_LATE, _ROOM = 0.5, 0.45
"""The last half of most curves, and all ends, get at least 45 % of the height of a panel, ..."""

_FLATTEST = 0.01
"""...unless its values span less than this share of all: then curves end alike."""

_OUTLYING_CURVE, _OUTLYING_LATE, _OUTLYING_CONFIGURATION = 8.0, 20.0, 4.0
_MARGIN, _DECADE = 0.06, 10.0


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


def limits_of_curves(bands: Mapping[str, Floats], *, higher_is_better: bool) -> Limits:
    """Limits for curves over epochs, so that their differences at the end are seen.

    The first epochs may lie outside, and so may an optimizer that is much worse than the others.
    Losses that span more than a decade have a logarithmic axis. The option `axis` overrides this.

    Args:
        bands: Lower end, center and upper end over seeds of each optimizer, shape (3, epochs + 1).
        higher_is_better: Whether larger values are better.
    """
    centers = [band[1] for band in bands.values()]
    near, is_logarithmic = _near(centers, higher_is_better=higher_is_better)

    def costs(values: Floats) -> Floats:
        """The smaller, the better, in units in which the axis is even."""
        scaled = np.log(values) if is_logarithmic else values
        return -scaled if higher_is_better else scaled

    shown = [costs(center) for center, is_near in zip(centers, near, strict=True) if is_near]
    ends = [band[[1, 0 if higher_is_better else 2], -1] for band in bands.values()]
    spread = float(np.median([np.diff(costs(end)) for end in ends]))
    best, worst = min(map(np.min, shown)), max(map(np.max, shown))
    if current().axis != "full":
        # Of most curves: one that falls slowly would flatten the ends of all others.
        late = np.median([each[int(len(each) * (1 - _LATE)) :].max() for each in shown])
        late = max(late, *(each[-1] for each in shown)) - best
        height = max(late + spread, _FLATTEST * (worst - best)) / _ROOM
        worst = min(worst, best + height)
    return _limits(best - spread, worst, is_logarithmic, is_negated=higher_is_better)


def limits_of_configurations(values: Sequence[float], metric: Metric) -> Limits:
    """Limits for performances of configurations; those much worse than most may lie outside."""
    best = max(values) if metric.higher_is_better else min(values)
    return limits_around([best] * len(values), values, higher_is_better=metric.higher_is_better)


def limits_around(
    best: Sequence[float], worst: Sequence[float], *, higher_is_better: bool
) -> Limits:
    """Limits that hold the best and the worst value of each optimizer, except those far off.

    A value is far off where it is `_OUTLYING_CONFIGURATION` times as far from the best of all as
    the median of the worst values is. For losses, the axis is logarithmic if the values are
    positive and span more than a factor of ten.
    """
    # Of losses on a logarithmic axis, what is far off is judged by logarithms as well.
    values = np.array([best, worst])
    if not higher_is_better and values.min() > 0 and _may_be_logarithmic():
        logs = np.log(values)
        near = logs[_is_near(logs, _OUTLYING_CONFIGURATION, higher_is_better=False)]
        if _is_logarithmic(np.exp(near)):
            return _limits(near.min(), near.max(), is_logarithmic=True)
    near = values[_is_near(values, _OUTLYING_CONFIGURATION, higher_is_better=higher_is_better)]
    return _limits(near.min(), near.max())


def leaving(axes: Axes) -> tuple[bool, bool]:
    """Whether lines leave a panel at the bottom, and at the top."""
    low, high = axes.get_ylim()
    values = [
        np.asarray(line.get_ydata(), dtype=np.float64)
        for line in axes.lines
        if line.get_transform() == axes.transData  # crosses at the border have other coordinates
    ]
    every = np.concatenate(values) if values else np.empty(0)
    return bool((every < low).any()), bool((every > high).any())


def mark_cuts(axes: Iterable[Axes]) -> bool:
    """Mark the y axes that lines leave, by two slashes at that end; whether there are any."""
    is_any = False
    for panel in axes:
        for end, leaves in enumerate(leaving(panel)):
            if leaves:
                _slashes(panel, end)
                is_any = True
    return is_any


def logarithmic(axes: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """Create an axis logarithmic, with as many ticks as a small panel has room for."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    few_decades(axis, low, high)


def few_decades(axis: Axis, low: float, high: float) -> None:
    """Put only a few ticks on a logarithmic axis, and plain numbers if it is short."""
    if high / low < 3:
        # Less than a decade may hold one of 1, 2, 5 or none.
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(_plain))
    elif high / low < 50:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(_plain))
    else:
        axis.set_major_locator(LogLocator(numticks=5))
    axis.set_minor_formatter(NullFormatter())


def few_ticks(axes: Axes, which: str, most: int = 4, *, integer: bool = False) -> None:
    """Put only a few ticks on an axis, as small panels need them."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(most, integer=integer, steps=[1, 2, 2.5, 5, 10]))


def _near(centers: Sequence[Floats], *, higher_is_better: bool) -> tuple[Bools, bool]:
    """Which curves are not far off, and whether their axis is logarithmic."""

    def ends(share: float) -> Floats:
        """The best (row 0) and the worst values, without the first epochs."""
        late = [each[min(len(each) - 1, round(share * len(each))) :] for each in centers]
        found = np.array([[each.min() for each in late], [each.max() for each in late]])
        return found[::-1] if higher_is_better else found

    # Losses before training can be orders of magnitude larger than all that follows.
    values, late = ends(_BEGINNING), ends(_LATE)
    if not higher_is_better and min(map(np.min, centers)) > 0 and _may_be_logarithmic():
        near = _is_near(np.log(values), _OUTLYING_CURVE, higher_is_better=False)
        if _is_logarithmic(values[near]):
            return near[0], True
    near = _is_near(values, _OUTLYING_CURVE, higher_is_better=higher_is_better)
    return near[0] & _is_near(late, _OUTLYING_LATE, higher_is_better=higher_is_better)[0], False


def _is_near(values: Floats, outlying: float, *, higher_is_better: bool) -> Bools:
    """Which of the best values (row 0) and the worst ones (row 1) are not far off."""
    top = values[0].max() if higher_is_better else values[0].min()
    distances = np.abs(values - top)
    if current().axis == "full":
        return np.ones(values.shape, dtype=np.bool_)
    near: Bools = distances <= outlying * np.median(distances[1])
    return near


def _may_be_logarithmic() -> bool:
    return current().axis != "linear"


def _is_logarithmic(values: Floats) -> bool:
    return current().axis == "log" or bool(values.max() / values.min() > _DECADE)


def _limits(
    best: float, worst: float, is_logarithmic: bool = False, *, is_negated: bool = False
) -> Limits:
    """Limits with a margin, from the ends in units in which the axis is even."""
    margin = _MARGIN * (worst - best) or abs(best) * _MARGIN or 1.0
    low, high = best - margin, worst + margin
    if is_negated:
        low, high = -high, -low
    if is_logarithmic:
        low, high = float(np.exp(low)), float(np.exp(high))
    return Limits(float(low), float(high), is_logarithmic)


def _slashes(axes: Axes, end: int) -> None:
    """Two slashes over the y axis of a panel, at its bottom (0) or top (1)."""
    figure = axes.get_figure()
    assert figure is not None  # noqa: S101 # it is drawn in one
    at_end = ScaledTranslation(0, end, axes.transAxes)  # type: ignore[arg-type] # it is affine
    in_points = figure.dpi_scale_trans + at_end
    inwards = (1 - 2 * end) / 72
    for distance in (3.0, 5.5):
        middle = distance * inwards
        path = Path([(-3 / 72, middle - 1.2 / 72), (3 / 72, middle + 1.2 / 72)])
        slash = PathPatch(path, transform=in_points, clip_on=False, linewidth=0.7)
        slash.set_edgecolor(mpl.rcParams["axes.edgecolor"])
        # Beyond the panel, they would push it aside.
        slash.set_in_layout(False)
        axes.add_patch(slash)


def _plain(value: float, _position: int | None) -> str:
    return f"{value:g}"
