"""The test set at a glance: loss and accuracy on every problem, as DeepOBS 1.2 draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs_analysis.plots import curves, layout
from deepobs_analysis.plots.common import selections_by_problem
from deepobs_analysis.plots.performance import TARGET, caveats, is_measured, target_of
from deepobs_analysis.plots.style import looks, styled
from deepobs_analysis.plots.words import TITLES
from deepobs_analysis.targets import targets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepobs_analysis.plots.curves import Show
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode

_CURVES = ("test_losses", "test_accuracies")
_PROBLEMS_IN_A_ROW = 4


@styled
def overview(results: Results, *, mode: Mode = "most", show: Show = "mean") -> Figure:
    """Draw test loss and test accuracy on every problem over epochs.

    Problems stand beside each other, the accuracy below the loss. A dashed line is the target
    performance.

    Args:
        results: The runs.
        mode: Which setting of an optimizer is shown; see `select`.
        show: See `performance`.

    Raises:
        ArgumentError: There is nothing to draw, or an option is none that there is.
    """
    curves.require_show(show)
    by_problem = selections_by_problem(results, mode)
    goals = targets(each for those in by_problem.values() for each in those)
    styles = looks(results.optimizers)
    across = min(len(by_problem), _PROBLEMS_IN_A_ROW)
    blocks = -(-len(by_problem) // across)
    figure, axes = layout.panels(2 * blocks * across, columns=across, height=1.4)
    places = list(by_problem.items())
    drawn = {}
    for place, panel in enumerate(axes):
        row, column = divmod(place, across)
        number, curve = row // 2 * across + column, _CURVES[row % 2]
        problem, selections = places[number] if number < len(places) else ("", [])
        if not is_measured(curve, selections):
            panel.remove()
            continue
        drawn[problem, curve] = curves.draw_curves(
            panel, selections, curve, styles, show=show, target=target_of(curve, selections, goals)
        )
        if curve == _CURVES[0]:
            layout.title(panel, problem)
        if column == 0:
            panel.set_ylabel(TITLES[curve])
        if curve == _CURVES[1] or not is_measured(_CURVES[1], selections):
            panel.set_xlabel("epoch")
    names = {each.optimizer for those in by_problem.values() for each in those}
    layout.legend(figure, names, further=[TARGET] if goals else [])
    layout.notes(figure, [curves.EXPLANATIONS[show], *caveats(by_problem.values(), drawn)])
    return figure
