"""The iterates of optimizers on functions of two variables: the figure `trajectories`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs_analysis.plots import layout, limits
from deepobs_analysis.plots.looks import looks
from deepobs_analysis.plots.style import ink, renamed, styled
from deepobs_analysis.selection import selections_by_problem
from deepobs_analysis.wording import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.plots.appearance import CommonOptions
    from deepobs_analysis.plots.looks import Look
    from deepobs_analysis.plots.style import ResultFigure
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode

_EXAMPLE = "deepobs run two_d_rosenbrock SGD --lr 0.0001"
_POINTS = 200
_LEVELS = 18
_FAR = 1.0


@styled
def trajectories(
    results: Results, *, mode: Mode = "most", **_common: Unpack[CommonOptions]
) -> ResultFigure:
    """Draw the recorded iterates of optimizers over contour lines of functions of two variables.

    The iterates are those at each evaluation, of the first seed of each chosen configuration. Stars
    are minima; the contour lines are those without noise.

    Args:
        results: The runs, some of them with iterates, as `deepobs run` records them on
            `two_d_rosenbrock`, `two_d_beale` and `two_d_branin`.
        mode: Which configuration of an optimizer is shown; see `select`.
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: No run has iterates.
    """
    is_on_function = results.runs["testproblem"].map(lambda name: "function" in _options(name))
    # Reference sets keep no iterates, and running one of their runs would not change that.
    is_on_function &= ~results.runs["is_reference"]
    has_iterates = results.runs["iterates"].notna()
    if not has_iterates.any():
        raise ArgumentError(
            "No result holds iterates on a function of two variables. Record them with "
            f"`{_command(results.runs[is_on_function])}`."
        )
    by_problem = selections_by_problem(replace(results, runs=results.runs[has_iterates]), mode)
    figure, axes = layout.panels(len(by_problem), columns=3, height=2.3)
    styles = looks(results.optimizers)
    for panel, selections in zip(axes, by_problem.values(), strict=True):
        paths = {each.optimizer: each.runs["iterates"].iloc[0] for each in selections}
        _draw(panel, selections[0].testproblem, paths, styles)
    layout.titles(figure, axes, list(by_problem))
    layout.label_panels(axes, "u", ["v"] * len(axes))
    names = {each.optimizer for those in by_problem.values() for each in those}
    layout.legend(figure, names)
    lacking = is_on_function & ~has_iterates
    missing = (
        f"Some runs have no iterates; `{_command(results.runs[lacking])}` "
        "records those of the first."
    )
    diverged = [
        f"{renamed(each.optimizer)} on {problem}"
        for problem, those in by_problem.items()
        for each in those
        if each.runs["has_diverged"].iloc[0]
    ]
    end = f"Diverged, drawn as far as it is finite: {listed(diverged, 4)}." if diverged else ""
    meaning = "Dot: start; mark: end; star: minimum."
    layout.notes(figure, [meaning, end, missing if any(lacking) else ""])
    return figure


def _command(lacking: pd.DataFrame) -> str:
    """What records the iterates of the first of some runs that lack them."""
    recorded = [command for command in lacking["command"] if command]
    return f"{recorded[0]} --overwrite" if recorded else _EXAMPLE


def _options(problem: str) -> Mapping[str, Any]:
    """The options of a problem: of functions of two variables, `function` and `minima`."""
    offer = registry().problems.find(problem)
    # Results can be drawn where the plugin of their problem is not installed.
    return {} if offer is None else offer.spec.options


def _draw(
    axes: Axes, problem: str, paths: Mapping[str, Floats], styles: Mapping[str, Look]
) -> None:
    minima = np.array(_options(problem).get("minima", np.empty((0, 2))))
    (left, right), (low, high) = _window(np.concatenate(list(paths.values())), minima)
    _draw_contours(axes, problem, (left, right), (low, high))
    for name, points in paths.items():
        look = styles[name]
        axes.plot(*points.T, **look.stroke(0.8))
        axes.plot(*points[-1], **look.marks(), color=look.color, label=name, zorder=4)
        axes.plot(*points[0], "o", color=ink(), markersize=3, zorder=5)
    star: dict[str, Any] = {"markersize": 7, "markeredgecolor": "white", "markeredgewidth": 0.5}
    axes.plot(*minima.T, "*", color="black", zorder=3, **star)
    axes.set(xlim=(left, right), ylim=(low, high))
    axes.grid(visible=False)
    limits.few_ticks(axes, "x")
    limits.few_ticks(axes, "y")


def _window(points: Floats, minima: Floats) -> tuple[tuple[float, float], tuple[float, float]]:
    """The part to show: start and minima, and what of the paths is not far away from them."""
    anchors = np.concatenate([points[:1], minima])
    low, high = anchors.min(axis=0), anchors.max(axis=0)
    # A run that diverges leaves by orders of magnitude, and would shrink all else to a point.
    reach = _FAR * (high - low).max() or 1.0
    near = points[(np.abs(points - (low + high) / 2) <= (high - low) / 2 + reach).all(axis=1)]
    low, high = np.minimum(low, near.min(axis=0)), np.maximum(high, near.max(axis=0))
    margin = 0.1 * (high - low) + 1e-6
    (left, bottom), (right, top) = low - margin, high + margin
    return (float(left), float(right)), (float(bottom), float(top))


def _draw_contours(
    axes: Axes, problem: str, across: tuple[float, float], up: tuple[float, float]
) -> None:
    options = _options(problem)
    if "function" not in options:
        return
    # Only this needs torch, and only now: the functions of problems take tensors.
    import torch

    function: Any = import_target(str(options["function"]), problem)
    u, v = torch.meshgrid(
        torch.linspace(*across, _POINTS), torch.linspace(*up, _POINTS), indexing="xy"
    )
    values = function(u, v).numpy()
    # Levels at quantiles: evenly spaced ones would all lie on the steep walls of these functions.
    evenly = np.quantile(values, np.linspace(0.02, 0.98, _LEVELS))
    around_minima = values.min() + (evenly[0] - values.min()) * np.array([0.02, 0.1, 0.4])
    levels = np.unique([*around_minima, *evenly])
    axes.contour(
        u.numpy(), v.numpy(), values, levels=levels, colors="#c4c4c4", linewidths=0.5, zorder=0
    )
