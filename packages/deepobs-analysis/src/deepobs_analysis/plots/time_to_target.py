"""How long optimizers take to reach the target performance of each problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs.errors import ArgumentError, closest, sentences
from deepobs_analysis.measures import mean_time
from deepobs_analysis.plots import layout
from deepobs_analysis.plots.common import selections_by_problem
from deepobs_analysis.plots.style import FAINT, SMALL, looks, styled
from deepobs_analysis.plots.words import number, shown
from deepobs_analysis.targets import sources_in_words, targets
from deepobs_analysis.times import UNITS, times_to_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.plots.style import Look
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode, Selection
    from deepobs_analysis.targets import Target
    from deepobs_analysis.times import Unit


@styled
def time_to_target(results: Results, *, mode: Mode = "most", unit: Unit = "epochs") -> Figure:
    """Draw how long every optimizer takes to reach the target of each problem.

    A small dot is a seed, a mark the mean of the seeds that reach the target; how many do stands at
    the right.

    Args:
        results: The runs.
        mode: Which setting of an optimizer is shown; see `select`.
        unit: What time is counted in: "epochs", "steps", "gradient evaluations" or "seconds".

    Raises:
        ArgumentError: No problem has a target, or an option is none that there is.
    """
    require_unit(unit)
    by_problem = selections_by_problem(results, mode)
    goals = targets(each for those in by_problem.values() for each in those)
    drawn = {problem: those for problem, those in by_problem.items() if problem in goals}
    layout.require_something(
        list(drawn), "no problem has a target", "Half of the seeds of some optimizer must complete."
    )
    most = max(map(len, drawn.values()))
    columns = 2 if len(drawn) > 1 else 1
    figure, axes = layout.panels(len(drawn), columns=columns, height=0.62 + 0.17 * most)
    styles = looks(results.optimizers)
    for panel, (problem, selections) in zip(axes, drawn.items(), strict=True):
        _draw(panel, selections, goals[problem], unit, styles)
        goal = number(goals[problem].value)
        panel.set_title(
            f"{shown(problem, 18)} ({selections[0].metric.name} {goal})",
            loc="left",
            pad=layout.TITLE_PAD,
        )
    layout.label_panels(axes, f"{unit} to target", [""] * len(axes))
    layout.notes(
        figure,
        [
            "Dots: seeds; marks: mean of those that reach the target, whose number is given.",
            *sources_in_words({shown(problem): goals[problem] for problem in drawn}),
        ],
    )
    return figure


def require_unit(unit: str) -> None:
    """Refuse what time cannot be counted in.

    Raises:
        ArgumentError: It is none of `UNITS`.
    """
    if unit not in UNITS:
        message = f"Time is counted in {', '.join(UNITS)}; {unit!r} is none of them."
        raise ArgumentError(sentences(message, closest(str(unit), UNITS)))


def _draw(
    axes: Axes,
    selections: Sequence[Selection],
    goal: Target,
    unit: Unit,
    styles: Mapping[str, Look],
) -> None:
    largest = 0.0
    for row, each in enumerate(selections):
        times = times_to_target(each, goal.value, unit)
        reached = times[np.isfinite(times)]
        largest = max([largest, *reached])
        _draw_row(axes, row, reached, styles[each.optimizer])
        is_recorded = not np.isnan(times).any()
        text = f"{len(reached)}/{len(times)}" if is_recorded else "not recorded"
        _write(axes, text, (1, row), xycoords=("axes fraction", "data"))
        if is_recorded and not len(reached):
            _write(axes, "never", (0, row))
    axes.set_yticks(range(len(selections)), [shown(each.optimizer, 22) for each in selections])
    axes.set_ylim(len(selections) - 0.5, -0.5)
    largest = largest or 1.0
    axes.set_xlim(-0.03 * largest, 1.05 * largest)
    axes.grid(visible=False, axis="y")
    layout.few_ticks(axes, "x", 5)


def _draw_row(axes: Axes, row: int, reached: Floats, look: Look) -> None:
    if len(reached):
        dots: dict[str, Any] = {"color": look.colour, "markersize": 2.5, "alpha": 0.45}
        axes.plot(reached, [row] * len(reached), "o", **dots)
        mark: dict[str, Any] = {"color": look.colour, "markersize": 5.5, "alpha": look.alpha}
        axes.plot([mean_time(reached).mean], [row], look.marker, **mark)


def _write(axes: Axes, text: str, place: tuple[float, float], **options: Any) -> None:
    axes.annotate(
        text, place, (3, 0), textcoords="offset points", va="center", fontsize=SMALL, color=FAINT,
        **options,
    )  # fmt: skip
