"""On which share of the problems an optimizer is how fast: AlgoPerf's performance profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import benchmark_score, performance_profile, performance_ratios
from deepobs_analysis.plots import layout
from deepobs_analysis.plots.common import selections_by_problem
from deepobs_analysis.plots.style import SINGLE_COLUMN, looks, styled
from deepobs_analysis.plots.time_to_target import require_unit
from deepobs_analysis.plots.words import shown
from deepobs_analysis.targets import targets
from deepobs_analysis.times import median_times
from deepobs_analysis.wording import counted, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode
    from deepobs_analysis.times import Unit


@styled
def profiles(
    results: Results, *, mode: Mode = "most", unit: Unit = "epochs", largest_tau: float = 4.0
) -> Figure:
    """Draw performance profiles: the share of problems over the time relative to the fastest.

    A line at tau = 2 tells on which share of the problems an optimizer takes at most twice as long
    to the target as the fastest one, by the median over seeds. The area under it, its benchmark
    score, stands in the legend.

    Args:
        results: The runs.
        mode: Which setting of an optimizer is shown; see `select`.
        unit: What time is counted in: "epochs", "steps", "gradient evaluations" or "seconds".
        largest_tau: Up to where profiles are drawn and the score counts, above 1.

    Raises:
        ArgumentError: There are fewer than two optimizers, no problem that all of them were run on
            and that has a target, or an option is none that there is.
    """
    require_unit(unit)
    if not isinstance(largest_tau, (int, float)) or not 1 < largest_tau < np.inf:
        raise ArgumentError(f"largest_tau must be a number above 1, such as 4; got {largest_tau}.")
    selections = [e for those in selections_by_problem(results, mode).values() for e in those]
    goals = targets(selections)
    optimizers, problems, times = median_times(selections, goals, unit)
    _require_comparison(optimizers, problems, unit)
    ratios = performance_ratios(times)
    figure, (axes,) = layout.panels(1, height=2.5, width=SINGLE_COLUMN)
    styles = looks(results.optimizers)
    scores = benchmark_score(ratios, largest_tau=largest_tau)
    for name, own, score in zip(optimizers, ratios, scores, strict=True):
        taus, shares = _steps(own, largest_tau)
        look = styles[name]
        axes.step(
            taus,
            shares,
            where="post",
            **look.stroke,
            label=f"{shown(name, 24)} ({score:.2f})",
        )
    axes.set(
        xlim=(1, largest_tau),
        ylim=(-0.02, 1.02),
        xlabel=f"time to target relative to the fastest, τ ({unit})",
        ylabel="share of problems",
    )
    _legend(figure, axes, scores)
    left_out = sorted(set(results.problems) - set(problems))
    compared = listed([shown(each) for each in problems], 10)
    layout.notes(
        figure,
        [
            f"{counted(len(problems), 'problem')}: {compared}.",
            f"Left out: {listed([shown(each) for each in left_out], 4)}." if left_out else "",
            "In brackets: the benchmark score.",
        ],
    )
    return figure


def _require_comparison(optimizers: Sequence[str], problems: Sequence[str], unit: Unit) -> None:
    if len(optimizers) < 2:
        raise ArgumentError(
            f"Performance profiles compare optimizers, but there is only {optimizers[0]}. "
            "Give results of two or more, or show a reference set beside them."
        )
    if not problems:
        raise ArgumentError(
            f"There is no problem on which all of {', '.join(optimizers)} were run, that has a "
            f"target, and of which {unit} were recorded. Leave out optimizers."
        )


def _steps(ratios: Floats, largest_tau: float) -> tuple[Floats, Floats]:
    """Where a profile rises, and to what."""
    within = np.unique(ratios[ratios <= largest_tau])
    taus = np.unique(np.concatenate([[1.0], within, [float(largest_tau)]]))
    return taus, performance_profile(ratios[np.newaxis], taus)[0]


def _legend(figure: Figure, axes: Axes, scores: Floats) -> None:
    """Say above the panel which line is which, the highest score first."""
    handles, _ = axes.get_legend_handles_labels()
    order = np.argsort(-scores, kind="stable")
    layout.legend_of(figure, [handles[place] for place in order])
