"""How much the test performance depends on two hyperparameters: the figure `sensitivity_2d`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Rectangle

from deepobs.errors import ArgumentError, closest, sentences
from deepobs_analysis.measures import MeanAndDeviation
from deepobs_analysis.plots import layout, limits
from deepobs_analysis.plots.style import (
    FAINT,
    INK,
    TITLES,
    renamed,
    short_number,
    shown,
    styled,
)
from deepobs_analysis.selection import selections_by_problem
from deepobs_analysis.trials import attempts_as_shown, best_at
from deepobs_analysis.wording import mean_text, seeds_of_rings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from deepobs_analysis.plots.appearance import CommonOptions
    from deepobs_analysis.plots.style import ResultFigure
    from deepobs_analysis.results import Metric, Results
    from deepobs_analysis.selection import Mode, Selection
    from deepobs_analysis.trials import Attempt

_Point = tuple[float, ...]

_WHAT_IS_NEEDED = "Give results of a grid or a random search over two hyperparameters or more."
_COLUMNS, _NARROWEST = 3, 2.0
_MOST_TICKS = 6


@dataclass(frozen=True)
class _Panel:
    """What is drawn for an optimizer on a problem: the best attempt at each point."""

    selection: Selection
    names: tuple[str, str]
    best: Mapping[_Point, Attempt]


@styled
def sensitivity_2d(
    results: Results,
    *,
    mode: Mode = "most",
    x: str | None = None,
    y: str | None = None,
    **_common: Unpack[CommonOptions],
) -> ResultFigure:
    """Draw the test performance of all configurations over two hyperparameters, in colors.

    Every optimizer has a panel on each problem. Of configurations that differ in other
    hyperparameters only, the best one is drawn. A cross is a configuration of which a seed
    diverged, a ring the one that represents the optimizer.

    Args:
        results: The runs.
        mode: How that configuration is chosen; see `select`. With "best", the best epoch of each
            run is drawn, else the last one.
        x: Name of the hyperparameter of the x axis; `None` for the one with the most values, or the
            learning rate.
        y: That of the y axis; `None` for the one of the rest with the most values.
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: No optimizer has two hyperparameters that vary, or not the named ones.
    """
    by_problem = _panels(results, mode, x, y)
    across = min(layout.fitting(_COLUMNS, _NARROWEST), max(map(len, by_problem.values())))
    rows = [-(-len(those) // across) for those in by_problem.values()]
    figure, axes = layout.panels(
        sum(rows) * across, columns=across, height=1.7, narrowest=_NARROWEST
    )
    first, drawn = 0, []
    for those, down in zip(by_problem.values(), rows, strict=True):
        block = axes[first : first + down * across]
        first += down * across
        _draw_problem(figure, block[: len(those)], those)
        drawn += block[: len(those)]
        for unused in block[len(those) :]:
            unused.remove()
    titles = [
        f"{renamed(each.selection.optimizer)}: {each.selection.problem}"
        for those in by_problem.values()
        for each in those
    ]
    layout.titles(figure, drawn, titles, relative_size=layout.SMALL)
    seeds = seeds_of_rings(
        (attempt.seeds, attempt.configuration == each.selection.configuration)
        for those in by_problem.values()
        for each in those
        for attempt in each.best.values()
    )
    layout.notes(figure, ["Cross: a seed diverged. Ring: the selected configuration.", seeds])
    return figure


def _panels(results: Results, mode: Mode, x: str | None, y: str | None) -> dict[str, list[_Panel]]:
    found: dict[str, list[_Panel]] = {}
    known: set[str] = set()
    for problem, selections in selections_by_problem(results, mode).items():
        for each in selections:
            tried = attempts_as_shown(results, each, mode=mode)
            varied = _varied(tried)
            known.update(varied)
            names = _chosen(varied, x, y)
            if names is not None:
                panel = _Panel(each, names, best_at(tried, names, each.metric))
                found.setdefault(problem, []).append(panel)
    if not found:
        raise ArgumentError(_nothing_varies(known, x, y))
    return found


def _varied(tried: Sequence[Attempt]) -> dict[str, int]:
    """The hyperparameters with several values and how many were tried, the most first."""
    names = sorted({name for each in tried for name in each.hyperparameters})
    values = {name: {each.number(name) for each in tried} - {None} for name in names}
    counts = {name: len(those) for name, those in values.items() if len(those) > 1}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0] != "lr", item[0])))


def _chosen(varied: dict[str, int], x: str | None, y: str | None) -> tuple[str, str] | None:
    rest = [name for name in varied if name not in (x, y)]
    names = [name if name is not None else (rest.pop(0) if rest else "") for name in (x, y)]
    return (names[0], names[1]) if set(names) <= varied.keys() and names[0] != names[1] else None


def _nothing_varies(known: set[str], x: str | None, y: str | None) -> str:
    if x is not None and x == y:
        return f"x and y are the same hyperparameter, {x!r}: name two."
    for name in (x, y):
        if name is not None and name not in known:
            message = f"The hyperparameter {name!r} does not vary between configurations."
            varied = f"Those that vary: {', '.join(sorted(known))}." if known else _WHAT_IS_NEEDED
            return sentences(message, closest(str(name), known), varied)
    return (
        "There is nothing to draw: no optimizer has two hyperparameters that vary. "
        f"{_WHAT_IS_NEEDED}"
    )


def _draw_problem(figure: ResultFigure, axes: Sequence[Axes], those: Sequence[_Panel]) -> None:
    """Draw the panels of a problem, with one scale of colors."""
    metric = those[0].selection.metric
    completed = [e.mean for panel in those for e in panel.best.values() if not e.has_diverged]
    norm = _norm(completed or [0.0, 1.0], metric)
    colors = ScalarMappable(norm, "viridis" if metric.higher_is_better else "viridis_r")
    for panel, each in zip(axes, those, strict=True):
        _draw(panel, each, colors)
    bar = figure.colorbar(colors, ax=list(axes), pad=0.02, aspect=20, fraction=0.05)
    bar.outline.set_visible(False)
    if isinstance(norm, LogNorm):
        limits.few_decades(bar.ax.yaxis, *bar.ax.get_ylim())
    bar.ax.tick_params(length=0)
    bar.set_label(TITLES[metric.curve("test")])


def _draw(axes: Axes, panel: _Panel, colors: ScalarMappable) -> None:
    points, is_grid = list(panel.best), _is_grid(list(panel.best))
    # On a grid every value takes the same room, which shows 0 beside values of a logarithmic grid.
    where = _placed(axes, points) if is_grid else {point: point for point in points}
    if not is_grid:
        _scale(axes, "x", [point[0] for point in points])
        _scale(axes, "y", [point[1] for point in points])
    completed = [point for point in points if not panel.best[point].has_diverged]
    means = np.array([panel.best[point].mean for point in completed])
    for point, color in zip(completed, colors.to_rgba(means), strict=True):
        u, v = where[point]
        label = _described(panel, point)
        if is_grid:
            cell = Rectangle((u - 0.5, v - 0.5), 1, 1, facecolor=color, linewidth=0, label=label)
            axes.add_patch(cell)
        else:
            axes.plot([u], [v], "o", color=color, markersize=4.5, label=label)
    for point in points:
        if panel.best[point].has_diverged:
            label = _described(panel, point)
            axes.plot(*where[point], "x", color=FAINT, markersize=3.5, label=label)
        if panel.best[point].configuration == panel.selection.configuration:
            # Two rings: one of them stands out from whatever color is below.
            axes.plot(*where[point], "o", color="white", markersize=6, markerfacecolor="none")
            axes.plot(*where[point], "o", color=INK, markersize=7.5, markerfacecolor="none")
    axes.set(xlabel=shown(panel.names[0], 20), ylabel=shown(panel.names[1], 20))


def _described(panel: _Panel, point: _Point) -> str:
    """A configuration and its performance: the label of its mark, which a report shows."""
    values = zip(panel.names, point, strict=True)
    configuration = ", ".join(f"{name} = {short_number(value)}" for name, value in values)
    attempt = panel.best[point]
    moments = MeanAndDeviation(attempt.mean, attempt.deviation)
    text = "diverged" if attempt.has_diverged else mean_text(moments, len(attempt.seeds))
    return f"{configuration}: {text}"


def _is_grid(points: Sequence[_Point]) -> bool:
    """Whether most combinations of the tried values were tried."""
    across, up = ({point[place] for point in points} for place in (0, 1))
    return len(points) > len(across) * len(up) / 2


def _placed(axes: Axes, points: Sequence[_Point]) -> dict[_Point, tuple[int, int]]:
    """Places of the points of a grid: every value takes the same room, including 0."""
    across, up = (sorted({point[place] for point in points}) for place in (0, 1))
    for axis, values in ((axes.xaxis, across), (axes.yaxis, up)):
        step = -(-len(values) // _MOST_TICKS)
        axis.set_ticks(range(0, len(values), step), [short_number(each) for each in values[::step]])
    axes.set(xlim=(-0.5, len(across) - 0.5), ylim=(-0.5, len(up) - 0.5))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    return {point: (across.index(point[0]), up.index(point[1])) for point in points}


def _scale(axes: Axes, which: Literal["x", "y"], values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    if low > 0 and high / low >= 10:
        margin = (high / low) ** 0.08
        limits.logarithmic(axes, which, low / margin, high * margin)
    else:
        margin = 0.08 * (high - low)
        axes.set(**{f"{which}lim": (low - margin, high + margin)})
        limits.few_ticks(axes, which)


def _norm(means: list[float], metric: Metric) -> Normalize:
    """Colors for what is near the best; what is far worse has the color of the worst."""
    ends = limits.limits_of_configurations(means, metric)
    low, high = max(ends.low, min(means)), min(ends.high, max(means))
    return LogNorm(low, high) if ends.is_logarithmic else Normalize(low, high)
