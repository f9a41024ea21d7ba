"""The test set at a glance: loss and accuracy on every problem, as DeepOBS 1.2 draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs_analysis.plots import curves, layout
from deepobs_analysis.plots.common import selections_by_problem
from deepobs_analysis.plots.performance import TARGET, caveats
from deepobs_analysis.plots.style import looks, styled
from deepobs_analysis.plots.words import TITLES
from deepobs_analysis.targets import targets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepobs_analysis.plots.curves import Show
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode, Selection

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
    problems = list(by_problem)
    across = min(len(problems), _PROBLEMS_IN_A_ROW)
    blocks = -(-len(problems) // across)
    figure, axes = layout.panels(2 * blocks * across, columns=across, height=1.4)
    drawn = {}
    for place, panel in enumerate(axes):
        block, row, column = place // (2 * across), place // across % 2, place % across
        number, curve = block * across + column, _CURVES[row]
        selections = by_problem[problems[number]] if number < len(problems) else []
        if not any(each.runs[curve].notna().all() for each in selections):
            panel.remove()
            continue
        problem, goal = problems[number], goals.get(problems[number])
        is_judged_by_it = curve == selections[0].metric.curve("test")
        drawn[problem, curve] = curves.draw_curves(
            panel,
            selections,
            curve,
            styles,
            show=show,
            target=goal.value if goal and is_judged_by_it else None,
        )
        if row == 0:
            layout.title(panel, problem)
        if column == 0:
            panel.set_ylabel(TITLES[curve])
        if _is_lowest(selections, row):
            panel.set_xlabel("epoch")
    names = {each.optimizer for those in by_problem.values() for each in those}
    layout.legend(figure, names, further=[TARGET] if goals else [])
    layout.notes(figure, [curves.EXPLANATIONS[show], *caveats(by_problem.values(), drawn)])
    return figure


def _is_lowest(selections: list[Selection], row: int) -> bool:
    """Whether nothing is drawn below a panel for the same problem."""
    return row == 1 or all(each.runs["test_accuracies"].isna().any() for each in selections)
