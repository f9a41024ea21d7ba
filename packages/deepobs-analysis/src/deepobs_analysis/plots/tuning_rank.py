"""How fast the performance falls off from the best setting to the worst."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs_analysis.plots import layout, limits
from deepobs_analysis.plots.attempts import attempts
from deepobs_analysis.plots.common import selections_by_problem
from deepobs_analysis.plots.style import looks, styled
from deepobs_analysis.plots.words import TITLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.plots.attempts import Attempt
    from deepobs_analysis.plots.style import Look
    from deepobs_analysis.results import Metric, Results
    from deepobs_analysis.selection import Mode


@styled
def tuning_rank(results: Results, *, mode: Mode = "most") -> Figure:
    """Draw the test performance of all settings over their rank, the best one first.

    The longer a line stays near its beginning, the less tuning an optimizer needs. It ends with
    the last setting of which all seeds completed; a cross at the border says how many there were
    with those that diverged.

    Args:
        results: The runs.
        mode: With "best", the best epoch of each run is drawn, else the last one.

    Raises:
        ArgumentError: There is nothing to draw, or no such mode.
    """
    by_problem = selections_by_problem(results, mode)
    figure, axes = layout.panels(len(by_problem))
    styles = looks(results.optimizers)
    for panel, (problem, selections) in zip(axes, by_problem.items(), strict=True):
        tried = {
            each.optimizer: attempts(results, problem, each.optimizer, mode=mode)
            for each in selections
        }
        layout.title(panel, problem)
        _draw(panel, tried, selections[0].metric, styles)
    labels = [TITLES[those[0].metric.curve("test")] for those in by_problem.values()]
    layout.label_panels(axes, "rank of the setting", labels)
    names = {each.optimizer for those in by_problem.values() for each in those}
    layout.legend(figure, names, with_markers=True)
    when = "in the best epoch of each run" if mode == "best" else "after the last epoch"
    layout.notes(
        figure,
        [
            f"Mean over seeds {when}. Crosses at the border: settings that diverged.",
            limits.note_of(axes),
        ],
    )
    return figure


def _draw(
    axes: Axes,
    of_optimizer: Mapping[str, list[Attempt]],
    metric: Metric,
    styles: Mapping[str, Look],
) -> None:
    sorted_means = {
        name: sorted(
            (each.mean for each in tried if not each.has_diverged),
            reverse=metric.higher_is_better,
        )
        for name, tried in of_optimizer.items()
    }
    means = [mean for those in sorted_means.values() for mean in those]
    limits.apply(axes, limits.of_settings(means or [0.0, 1.0], metric))
    longest = max(map(len, of_optimizer.values()))
    for row, (name, those) in enumerate(sorted_means.items()):
        look = styles[name]
        axes.plot(
            range(1, len(those) + 1),
            those,
            **look.stroke,
            marker=look.marker,
            markersize=2.5,
            linewidth=1.1,
        )
        lost = range(len(those) + 1, len(of_optimizer[name]) + 1)
        layout.cross_out(axes, lost, row, look, at_top=not metric.higher_is_better)
    axes.set_xlim(0.5, longest + 0.5)
    layout.few_ticks(axes, "x", integer=True)
