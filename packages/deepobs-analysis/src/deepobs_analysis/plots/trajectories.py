"""The paths of optimizers over the functions of two variables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs_analysis.plots import layout
from deepobs_analysis.plots.common import selections_by_problem
from deepobs_analysis.plots.iterates import is_two_d, iterates
from deepobs_analysis.plots.style import INK, looks, styled
from deepobs_analysis.plots.words import shown
from deepobs_analysis.wording import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.plots.style import Look
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode

_MINIMA = {
    "two_d_rosenbrock": [(1.0, 1.0)],
    "two_d_beale": [(3.0, 0.5)],
    "two_d_branin": [(-np.pi, 12.275), (np.pi, 2.275), (3 * np.pi, 2.475)],
}
_POINTS = 200
_LEVELS = 18
_FAR = 1.0


@styled
def trajectories(results: Results, *, mode: Mode = "most") -> Figure:
    """Draw the paths of optimizers over the contour lines of functions of two variables.

    Result files do not hold the points, so the first seed of each chosen setting is run again,
    which takes some seconds. Stars are minima; the contour lines are those without noise.

    Args:
        results: The runs, some of them of this DeepOBS on `two_d_rosenbrock`, `two_d_beale` or
            `two_d_branin`.
        mode: Which setting of an optimizer is shown; see `select`.

    Raises:
        ArgumentError: There are no such runs.
        DeepOBSError: A run cannot be repeated.
    """
    ours = results.runs[results.runs["problem"].map(is_two_d) & (results.runs["format"] == "own")]
    if ours.empty:
        raise ArgumentError(
            "There is no run on a function of two variables, of which a path could be drawn. "
            "Carry one out, such as `deepobs run two_d_rosenbrock SGD --lr 0.0001`."
        )
    by_problem = selections_by_problem(replace(results, runs=ours), mode)
    figure, axes = layout.panels(len(by_problem), columns=3, height=2.3)
    styles = looks(results.optimizers)
    differing = []
    for panel, (problem, selections) in zip(axes, by_problem.items(), strict=True):
        paths = {each.optimizer: iterates(each.runs["file"].iloc[0]) for each in selections}
        differing += [f"{name} on {problem}" for name, p in paths.items() if not p.is_faithful]
        layout.title(panel, problem)
        _draw(panel, problem, {name: path.points for name, path in paths.items()}, styles)
    layout.label_panels(axes, "u", ["v"] * len(axes))
    names = {each.optimizer for those in by_problem.values() for each in those}
    layout.legend(figure, names, with_markers=True)
    layout.notes(
        figure,
        [
            "Dot: start; mark: end; star: minimum.",
            f"Ended elsewhere than when recorded: {listed([shown(e, 60) for e in differing], 4)}."
            if differing
            else "",
        ],
    )
    return figure


def _draw(
    axes: Axes, problem: str, paths: Mapping[str, Floats], styles: Mapping[str, Look]
) -> None:
    minima = np.array(_MINIMA.get(problem, np.empty((0, 2))))
    (left, right), (low, high) = _window(np.concatenate(list(paths.values())), minima)
    _draw_contours(axes, problem, (left, right), (low, high))
    for name, points in paths.items():
        look = styles[name]
        axes.plot(*points.T, **look.stroke, linewidth=1.0)
        axes.plot(*points[-1], look.marker, color=look.colour, markersize=4.5, zorder=4)
        axes.plot(*points[0], "o", color=INK, markersize=3, zorder=5)
    axes.plot(
        *minima.T,
        "*",
        color="black",
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.5,
        zorder=3,
    )
    axes.set(xlim=(left, right), ylim=(low, high))
    axes.grid(visible=False)
    layout.few_ticks(axes, "x")
    layout.few_ticks(axes, "y")


def _window(points: Floats, minima: Floats) -> tuple[tuple[float, float], tuple[float, float]]:
    """What to show: start and minima, and of the paths what is not far away from them."""
    anchors = np.concatenate([points[:1], minima])
    low, high = anchors.min(axis=0), anchors.max(axis=0)
    reach = _FAR * (high - low).max() or 1.0
    near = points[(np.abs(points - (low + high) / 2) <= (high - low) / 2 + reach).all(axis=1)]
    low, high = np.minimum(low, near.min(axis=0)), np.maximum(high, near.max(axis=0))
    margin = 0.1 * (high - low) + 1e-6
    (left, bottom), (right, top) = low - margin, high + margin
    return (float(left), float(right)), (float(bottom), float(top))


def _draw_contours(
    axes: Axes, problem: str, across: tuple[float, float], up: tuple[float, float]
) -> None:
    import torch

    options = registry().problems.spec(problem).options
    function: Any = import_target(str(options["function"]), problem)
    u, v = torch.meshgrid(
        torch.linspace(*across, _POINTS), torch.linspace(*up, _POINTS), indexing="xy"
    )
    values = function(u, v).numpy()
    evenly = np.quantile(values, np.linspace(0.02, 0.98, _LEVELS))
    around_minima = values.min() + (evenly[0] - values.min()) * np.array([0.02, 0.1, 0.4])
    levels = np.unique([*around_minima, *evenly])
    axes.contour(
        u.numpy(), v.numpy(), values, levels=levels, colors="#c4c4c4", linewidths=0.5, zorder=0
    )
