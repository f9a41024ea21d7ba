"""What performance to expect of the best of a number of settings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from deepobs_analysis.measures import expected_best_curve
from deepobs_analysis.plots import layout, limits
from deepobs_analysis.plots.attempts import attempts
from deepobs_analysis.plots.common import selections_by_problem
from deepobs_analysis.plots.style import looks, styled
from deepobs_analysis.plots.words import TITLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.plots.attempts import Attempt
    from deepobs_analysis.plots.limits import Limits
    from deepobs_analysis.plots.style import Look
    from deepobs_analysis.results import Metric, Results
    from deepobs_analysis.selection import Mode

_MANY = 10
_FEW = 3


@styled
def expected_best(results: Results, *, mode: Mode = "most") -> Figure:
    """Draw the expected test performance of the best of k settings, drawn at random, over k.

    Of each optimizer, the settings that were tried stand for those that could be drawn, by the
    seed with which most of them were run; a run that diverged counts with its performance before
    training.

    Args:
        results: The runs.
        mode: With "best", the best epoch of each run counts, else the last one.

    Raises:
        ArgumentError: There is nothing to draw, or no such mode.
    """
    by_problem = selections_by_problem(results, mode)
    figure, axes = layout.panels(len(by_problem))
    styles = looks(results.optimizers)
    seeds: set[int] = set()
    for panel, (problem, selections) in zip(axes, by_problem.items(), strict=True):
        curves = {}
        for each in selections:
            tried = attempts(results, problem, each.optimizer, mode=mode)
            seed, curves[each.optimizer] = _curve(tried, each.metric)
            seeds.add(seed)
        _draw(panel, curves, selections[0].metric, styles)
        layout.title(panel, problem)
    labels = [TITLES[those[0].metric.curve("test")] for those in by_problem.values()]
    layout.label_panels(axes, "settings tried", labels)
    layout.legend(figure, {e.optimizer for those in by_problem.values() for e in those})
    used = ", ".join(map(str, sorted(seeds)))
    when = "in the best epoch" if mode == "best" else "after the last epoch"
    layout.notes(
        figure,
        [
            f"Expected best performance {when} of so many settings, drawn at random from those "
            f"that were run with seed {used}.",
            limits.note_of(axes),
        ],
    )
    return figure


def _curve(tried: Sequence[Attempt], metric: Metric) -> tuple[int, Floats]:
    """The seed with which most settings were run, and what to expect of the settings with it."""
    counts = Counter(seed for each in tried for seed in each.seeds)
    seed = min(counts, key=lambda each: (-counts[each], each))
    values = [each.performances[each.seeds.index(seed)] for each in tried if seed in each.seeds]
    return seed, expected_best_curve(values, higher_is_better=metric.higher_is_better)


def _draw(
    axes: Axes, curves: Mapping[str, Floats], metric: Metric, styles: Mapping[str, Look]
) -> None:
    for name, curve in curves.items():
        marker = styles[name].marker if len(curve) == 1 else "none"
        axes.plot(np.arange(1, len(curve) + 1), curve, **styles[name].stroke, marker=marker)
    limits.apply(axes, _limits(list(curves.values()), metric))
    _set_x(axes, max(map(len, curves.values())))


def _limits(curves: Sequence[Floats], metric: Metric) -> Limits:
    """Limits from what a few settings give on; one or two often give nothing."""
    few = [float(curve[min(_FEW, len(curve)) - 1]) for curve in curves]
    best = [float(curve[-1]) for curve in curves]
    return limits.around(best, few, higher_is_better=metric.higher_is_better)


def _set_x(axes: Axes, most: int) -> None:
    if most > _MANY:
        layout.logarithmic(axes, "x", 1, most)
    else:
        axes.set_xlim(1, max(2, most))
        layout.few_ticks(axes, "x", integer=True)
