"""How much the test performance depends on two hyperparameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LogNorm, Normalize

from deepobs.errors import ArgumentError, closest, sentences
from deepobs_analysis.plots import layout, limits
from deepobs_analysis.plots.attempts import attempts
from deepobs_analysis.plots.performance import selections_by_problem
from deepobs_analysis.plots.style import FAINT, INK, styled
from deepobs_analysis.plots.words import TITLES, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.plots.attempts import Attempt
    from deepobs_analysis.results import Metric, Results
    from deepobs_analysis.selection import Mode, Selection

_NO_FEWER = "Give results of a grid or a random search over two hyperparameters or more."


@styled
def sensitivity_2d(
    results: Results, *, mode: Mode = "most", x: str | None = None, y: str | None = None
) -> Figure:
    """Draw the test performance of all settings over two hyperparameters, in colours.

    Every optimizer has a panel on each problem. Of settings that differ in further hyperparameters
    only, the best one is drawn. A cross is a setting of which a seed diverged, a ring the one that
    stands for the optimizer.

    Args:
        results: The runs.
        mode: How that setting is chosen; see `select`. With "best", the best epoch of each run is
            drawn, else the last one.
        x: Name of the hyperparameter of the x axis; `None` for the one of which the most values
            were tried, or the learning rate.
        y: That of the y axis; `None` for the one of the rest of which the most values were tried.

    Raises:
        ArgumentError: No optimizer has two hyperparameters that vary, or not those that are named.
    """
    selections = [e for those in selections_by_problem(results, mode).values() for e in those]
    drawn = []
    known: set[str] = set()
    for selection in selections:
        tried = attempts(results, selection.problem, selection.optimizer, mode=mode)
        varied = _varied(tried)
        known.update(varied)
        axes_names = _chosen(varied, x, y)
        if axes_names is not None:
            drawn.append((selection, tried, axes_names))
    if not drawn:
        raise ArgumentError(_nothing_varies(known, x, y))
    figure, panels = layout.panels(len(drawn), columns=3, height=1.9)
    for panel, (selection, tried, names) in zip(panels, drawn, strict=True):
        _draw(figure, panel, selection, _best_at(tried, names, selection.metric), names)
    layout.notes(figure, ["Cross: a seed diverged. Ring: the setting that was chosen."])
    return figure


def _varied(tried: Iterable[Attempt]) -> dict[str, int]:
    """How many values of each hyperparameter were tried, the most first, where several were."""
    listed = list(tried)
    names = sorted({name for each in listed for name in each.hyperparameters})
    values = {name: {each.number(name) for each in listed} - {None} for name in names}
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
            varied = f"There vary: {', '.join(sorted(known))}." if known else _NO_FEWER
            message = f"In no settings does a hyperparameter {name!r} vary."
            return sentences(message, closest(name, known), varied)
    return f"There is nothing to draw: no optimizer has two hyperparameters that vary. {_NO_FEWER}"


def _best_at(
    tried: Iterable[Attempt], names: tuple[str, str], metric: Metric
) -> dict[tuple[float, float], Attempt]:
    """The best attempt at each point, one that completed before any that diverged."""
    best: dict[tuple[float, float], Attempt] = {}
    for each in tried:
        x, y = each.number(names[0]), each.number(names[1])
        if x is None or y is None:
            continue
        rival = best.get((x, y))
        if rival is None or each.merit(metric) > rival.merit(metric):
            best[x, y] = each
    return best


def _draw(
    figure: Figure,
    axes: Axes,
    selection: Selection,
    best: dict[tuple[float, float], Attempt],
    names: tuple[str, str],
) -> None:
    points, metric = list(best), selection.metric
    completed = [point for point in points if not best[point].has_diverged]
    lost = [point for point in points if best[point].has_diverged]
    for which, place in (("x", 0), ("y", 1)):
        _scale(axes, which, [point[place] for point in points])
    if completed:
        means = [best[point].mean for point in completed]
        dots = axes.scatter(
            [point[0] for point in completed],
            [point[1] for point in completed],
            c=means,
            norm=_norm(means, metric),
            cmap="viridis" if metric.higher_is_better else "viridis_r",
            s=_size(len(points)),
            marker="s",
            linewidth=0,
        )
        bar = figure.colorbar(dots, ax=axes, pad=0.02, aspect=25, extend="min")
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=6)
    if lost:
        axes.plot(*zip(*lost, strict=True), "x", color=FAINT, markersize=3.5)
    ring = [point for point in points if best[point].setting == selection.setting]
    axes.plot(
        *zip(*ring, strict=True) if ring else ([], []),
        "o",
        color=INK,
        markersize=7,
        markerfacecolor="none",
    )
    axes.set_title(
        f"{shown(selection.optimizer, 18)}: {shown(selection.problem, 18)}\n"
        f"{TITLES[metric.curve('test')]}",
        loc="left",
        fontsize=7,
    )
    axes.set(xlabel=shown(names[0], 20), ylabel=shown(names[1], 20))


def _scale(axes: Axes, which: str, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    if low > 0 and high / low >= 10:
        margin = (high / low) ** 0.08
        layout.logarithmic(axes, "x" if which == "x" else "y", low / margin, high * margin)
    else:
        margin = 0.08 * (high - low)
        axes.set(**{f"{which}lim": (low - margin, high + margin)})
        layout.few_ticks(axes, which)


def _norm(means: list[float], metric: Metric) -> Normalize:
    better = metric.higher_is_better
    shown = limits.of_values(means, higher_is_better=better, may_be_logarithmic=not better)
    low, high = max(shown.low, min(means)), min(shown.high, max(means))
    return LogNorm(low, high) if shown.is_logarithmic else Normalize(low, high)


def _size(points: int) -> float:
    """Area of a mark in square points, so that as many as there are fill a panel."""
    return float(np.clip(2500 / points, 8, 90))
