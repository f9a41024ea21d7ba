"""How much the test performance depends on the learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from deepobs_analysis.plots import layout, limits
from deepobs_analysis.plots.attempts import attempts, best_at
from deepobs_analysis.plots.common import selections_by_problem
from deepobs_analysis.plots.style import INK, looks, styled
from deepobs_analysis.plots.words import TITLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.plots.attempts import Attempt
    from deepobs_analysis.plots.style import Look
    from deepobs_analysis.results import Metric, Results
    from deepobs_analysis.selection import Mode, Selection

_CHOSEN = Line2D(
    [], [], linestyle="none", marker="o", markersize=6, markerfacecolor="none",
    markeredgecolor=INK, markeredgewidth=0.9, label="chosen",
)  # fmt: skip
_DIVERGED = Line2D([], [], linestyle="none", marker="x", color=INK, label="diverged")


@styled
def sensitivity(results: Results, *, mode: Mode = "most") -> Figure:
    """Draw the test performance of all settings over the learning rate.

    A line is the mean over seeds, of the best setting with each learning rate; a bar is the
    standard deviation where there are several seeds. A cross at the border is a learning rate with
    which every setting diverged. A ring is the setting that stands for the optimizer.

    Args:
        results: The runs.
        mode: How that setting is chosen; see `select`. With "best", the best epoch of each run is
            drawn, else the last one.

    Raises:
        ArgumentError: No optimizer has a learning rate.
    """
    by_problem = selections_by_problem(results, mode)
    tried = {
        problem: {
            each.optimizer: _by_rate(
                attempts(results, problem, each.optimizer, mode=mode), each.metric
            )
            for each in selections
        }
        for problem, selections in by_problem.items()
    }
    drawn = {problem: those for problem, those in tried.items() if any(those.values())}
    layout.require_something(
        list(drawn), "no run has a learning rate", "Choose other results, or another plot."
    )
    figure, axes = layout.panels(len(drawn))
    styles = looks(results.optimizers)
    for panel, (problem, of_problem) in zip(axes, drawn.items(), strict=True):
        metric = by_problem[problem][0].metric
        layout.title(panel, problem)
        _draw(panel, of_problem, metric, styles, by_problem[problem])
    labels = [TITLES[by_problem[problem][0].metric.curve("test")] for problem in drawn]
    layout.label_panels(axes, "learning rate", labels)
    names = [name for those in drawn.values() for name, of_name in those.items() if of_name]
    layout.legend(figure, names, further=[_CHOSEN, _DIVERGED], with_markers=True)
    when = "in the best epoch of each run" if mode == "best" else "after the last epoch"
    layout.notes(
        figure,
        [f"Performance {when}: mean over seeds and standard deviation.", limits.note_of(axes)],
    )
    return figure


def _by_rate(tried: Iterable[Attempt], metric: Metric) -> dict[float, Attempt]:
    by_point = best_at(tried, ["lr"], metric)
    return {rate: each for (rate,), each in by_point.items() if rate > 0}


def _draw(
    axes: Axes,
    of_optimizer: Mapping[str, Mapping[float, Attempt]],
    metric: Metric,
    styles: Mapping[str, Look],
    selections: Iterable[Selection],
) -> None:
    rates = [rate for tried in of_optimizer.values() for rate in tried]
    layout.logarithmic(axes, "x", min(rates) / 1.6, max(rates) * 1.6)
    limits.apply(axes, limits.of_settings(_means(of_optimizer), metric))
    for row, (name, tried) in enumerate(of_optimizer.items()):
        _draw_completed(axes, tried, styles[name])
        lost = [rate for rate, each in tried.items() if each.has_diverged]
        layout.cross_out(axes, lost, row, styles[name], at_top=not metric.higher_is_better)
    for each in selections:
        tried = of_optimizer[each.optimizer]
        for rate, attempt in tried.items():
            if attempt.setting == each.setting:
                axes.plot(
                    [rate], [attempt.mean], "o", color=INK, markersize=6, markerfacecolor="none",
                    markeredgewidth=0.9, zorder=4,
                )  # fmt: skip


def _draw_completed(axes: Axes, tried: Mapping[float, Attempt], look: Look) -> None:
    completed = {rate: each for rate, each in tried.items() if not each.has_diverged}
    axes.errorbar(
        list(completed),
        [each.mean for each in completed.values()],
        yerr=[each.deviation for each in completed.values()],
        **look.stroke,
        marker=look.marker,
        markersize=2.5,
        linewidth=1.1,
        elinewidth=0.9,
    )


def _means(of_optimizer: Mapping[str, Mapping[float, Attempt]]) -> list[float]:
    tried = [each for those in of_optimizer.values() for each in those.values()]
    return [each.mean for each in tried if not each.has_diverged] or [0.0, 1.0]
