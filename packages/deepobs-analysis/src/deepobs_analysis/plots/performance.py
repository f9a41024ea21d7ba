"""Training and test curves of the settings that stand for optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from deepobs_analysis.plots import curves, layout
from deepobs_analysis.plots.common import selections_by_problem
from deepobs_analysis.plots.style import DOUBLE_COLUMN, looks, styled
from deepobs_analysis.plots.words import TITLES, shown
from deepobs_analysis.targets import targets
from deepobs_analysis.wording import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.plots.curves import Drawn, Show
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode, Selection
    from deepobs_analysis.targets import Target

_CURVES = ("train_losses", "test_losses", "train_accuracies", "test_accuracies")
TARGET = Line2D([], [], color="black", linewidth=0.7, linestyle=(0, (3, 3)), label="target")


@styled
def performance(results: Results, *, mode: Mode = "most", show: Show = "mean") -> Figure:
    """Draw loss and accuracy on training and test set over epochs.

    One problem takes a figure of up to four panels, several take a row each. Losses that span more
    than a decade have a logarithmic axis. A dashed line is the target performance.

    Args:
        results: The runs.
        mode: Which setting of an optimizer is shown; see `select`.
        show: Of several seeds "mean" and standard deviation, "median" and quartiles, or the mean
            with a confidence "interval".

    Raises:
        ArgumentError: There is nothing to draw, or an option is none that there is.
    """
    curves.require_show(show)
    by_problem = selections_by_problem(results, mode)
    everything = [each for those in by_problem.values() for each in those]
    goals = targets(everything)
    measured = [curve for curve in _CURVES if is_measured(curve, everything)]
    if len(by_problem) == 1:
        figure, rows = _of_one(len(measured))
    else:
        figure, rows = _of_several(list(by_problem), measured)
    drawn = {}
    styles = looks(results.optimizers)
    for axes_of_row, (problem, selections) in zip(rows, by_problem.items(), strict=True):
        for axes, curve in zip(axes_of_row, measured, strict=True):
            if not is_measured(curve, selections):
                axes.remove()
                continue
            if len(by_problem) == 1:
                axes.set_ylabel(TITLES[curve])
            goal = target_of(curve, selections, goals)
            drawn[problem, curve] = curves.draw_curves(
                axes, selections, curve, styles, show=show, target=goal
            )
    names = {each.optimizer for each in everything}
    title = shown(next(iter(by_problem)), 60) if len(by_problem) == 1 else None
    layout.legend(figure, names, further=[TARGET] if goals else [], title=title)
    layout.notes(figure, [curves.EXPLANATIONS[show], *caveats(by_problem.values(), drawn)])
    return figure


def is_measured(curve: str, selections: Iterable[Selection]) -> bool:
    """Whether some of the selections have a curve for all seeds."""
    return any(each.runs[curve].notna().all() for each in selections)


def target_of(
    curve: str, selections: Sequence[Selection], goals: Mapping[str, Target]
) -> float | None:
    """The target of a problem, if it is told of this curve.

    Args:
        curve: Name of the curve.
        selections: Those of the problem.
        goals: The targets by problem.
    """
    goal = goals.get(selections[0].problem)
    return goal.value if goal and curve == selections[0].metric.curve("test") else None


def caveats(
    by_problem: Iterable[Sequence[Selection]], drawn: Mapping[tuple[str, str], Drawn]
) -> list[str]:
    """What readers of curves must know: what lies outside the panels, and what diverged."""
    selections = [each for those in by_problem for each in those]
    sentences = []
    if any(each.leaves_out for each in drawn.values()):
        sentences.append("Axes leave out the first epochs and optimizers far behind.")
    hidden = sorted({f"{name} on {key[0]}" for key, each in drawn.items() for name in each.hidden})
    if hidden:
        sentences.append(f"Outside at the end: {listed([shown(each, 60) for each in hidden], 4)}.")
    diverged = [
        f"{shown(each.optimizer)} on {shown(each.problem)} ({lost} of {len(each.runs)} seeds)"
        for each in selections
        if (lost := int(each.runs["has_diverged"].sum()))
    ]
    if diverged:
        sentences.append(f"Diverged, shown with the value before training: {listed(diverged, 4)}.")
    return sentences


def _of_one(count: int) -> tuple[Figure, list[list[Axes]]]:
    figure, axes = layout.panels(count, columns=2, height=1.9, width=DOUBLE_COLUMN)
    for panel in axes[-2:]:
        panel.set_xlabel("epoch")
    return figure, [axes]


def _of_several(problems: list[str], measured: list[str]) -> tuple[Figure, list[list[Axes]]]:
    columns = len(measured)
    figure, axes = layout.panels(
        len(problems) * columns, columns=columns, height=1.3, width=DOUBLE_COLUMN
    )
    rows = [axes[start : start + columns] for start in range(0, len(axes), columns)]
    for panel, curve in zip(rows[0], measured, strict=True):
        panel.set_title(TITLES[curve])
    for row, problem in zip(rows, problems, strict=True):
        row[0].set_ylabel(shown(problem, 17))
    for panel in rows[-1]:
        panel.set_xlabel("epoch")
    return figure, rows
