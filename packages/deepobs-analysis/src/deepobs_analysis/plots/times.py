"""How fast optimizers reach targets: the figures `time_to_target` and `profiles`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from matplotlib.transforms import ScaledTranslation

from deepobs.console.text import counted
from deepobs.errors import ArgumentError, closest, joined, sentences
from deepobs_analysis.measures import (
    benchmark_score,
    mean_time,
    performance_profile,
    performance_ratios,
)
from deepobs_analysis.plots import layout, limits
from deepobs_analysis.plots.appearance import current
from deepobs_analysis.plots.looks import looks
from deepobs_analysis.plots.style import (
    SINGLE_COLUMN,
    called,
    faint,
    scale,
    short_number,
    styled,
    text_size,
)
from deepobs_analysis.selection import references_left_out, selections_by_problem
from deepobs_analysis.targets import (
    UNITS,
    median_times,
    targets,
    times_to_target,
)
from deepobs_analysis.wording import listed, sources_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.plots.appearance import CommonOptions
    from deepobs_analysis.plots.looks import Look
    from deepobs_analysis.plots.style import ResultFigure
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode, Selection
    from deepobs_analysis.targets import Unit


_STEP, _MOST_RAISED = 1.3, 9.0  # points


@styled
def time_to_target(
    results: Results,
    *,
    mode: Mode = "most",
    unit: Unit = "epochs",
    **_common: Unpack[CommonOptions],
) -> ResultFigure:
    """Draw how long every optimizer takes to reach the target of each problem.

    A small dot is a seed, a marker the mean, if all seeds reach the target. How many do stands at
    the right.

    Args:
        results: The runs.
        mode: Which configuration of an optimizer is shown; see `select`.
        unit: Unit of time: "epochs", "steps", "gradient evaluations" or "seconds".
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: No problem has a target, or an option is unknown.
    """
    _require_unit(unit)
    by_problem = selections_by_problem(results, mode)
    goals = targets(each for those in by_problem.values() for each in those)
    drawn = {problem: those for problem, those in by_problem.items() if problem in goals}
    if not drawn:
        raise ArgumentError(
            "There is nothing to draw: no problem has a target. Half of the seeds of some "
            "optimizer must complete."
        )
    most = max(map(len, drawn.values()))
    columns = 2 if len(drawn) > 1 else 1
    height = 0.62 + 0.17 * most * scale()
    figure, axes = layout.panels(len(drawn), columns=columns, height=height, narrowest=2.4)
    styles, titles = looks(results.optimizers), []
    for panel, (problem, selections) in zip(axes, drawn.items(), strict=True):
        goal = goals[problem].value
        _draw(panel, selections, goal, unit, styles)
        titles.append(f"{problem}: {selections[0].metric.name} {short_number(goal)}")
    names = {each.optimizer for those in drawn.values() for each in those}
    beside = max(len(called(name, layout.letters_beside(axes[0]))) for name in names)
    layout.titles(figure, axes, titles, beside=beside)
    layout.label_panels(axes, f"{unit} to target", [""] * len(axes))
    layout.notes(
        figure,
        [
            "Dots: seeds; marks: their mean, if all reach the target; how many do is given.",
            *sources_in_words({problem: goals[problem] for problem in drawn}),
        ],
    )
    return figure


@styled
def profiles(
    results: Results,
    *,
    mode: Mode = "most",
    unit: Unit = "epochs",
    largest_tau: float = 4.0,
    **_common: Unpack[CommonOptions],
) -> ResultFigure:
    """Draw performance profiles: the share of problems over the time relative to the fastest.

    At tau = 2, a line shows the share of problems on which an optimizer takes at most twice as long
    to the target as the fastest one, by the median over seeds. The legend has the area under it,
    its benchmark score (AlgoPerf), and on how many problems it reaches the target at all.

    Args:
        results: The runs.
        mode: Which configuration of an optimizer is shown; see `select`.
        unit: Unit of time: "epochs", "steps", "gradient evaluations" or "seconds".
        largest_tau: Up to where profiles are drawn and the score counts, above 1.
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: There are fewer than two optimizers, no problem that has a target and was run
            with all of them, or an option is unknown or out of range.
    """
    _require_unit(unit)
    if not isinstance(largest_tau, (int, float)) or not 1 < largest_tau < np.inf:
        raise ArgumentError(f"largest_tau must be a number above 1, such as 4; got {largest_tau}.")
    selections = [e for those in selections_by_problem(results, mode).values() for e in those]
    left_out = references_left_out(selections)
    compared = [each for each in selections if each.optimizer not in left_out]
    optimizers, problems, times = median_times(compared, targets(selections), unit)
    _require_comparison(optimizers, problems, unit)
    ratios = performance_ratios(times)
    figure, (axes,) = layout.panels(1, height=2.5, width=SINGLE_COLUMN)
    styles = looks(results.optimizers)
    scores = benchmark_score(ratios, largest_tau=largest_tau)
    by_score = [optimizers[place] for place in np.argsort(-scores, kind="stable")]
    names = layout.in_order(optimizers) if current().order else by_score
    entries = {}
    for name, own, score in zip(optimizers, ratios, scores, strict=True):
        # Where the staircase rises, and its ends: evenly spaced taus would draw slopes.
        taus = np.unique([1.0, *own[own <= largest_tau], float(largest_tau)])
        shares = performance_profile(own[np.newaxis], taus)[0]
        look = styles[name]
        (line,) = axes.step(taus, shares, where="post", **look.stroke(), **look.marks())
        # Many profiles have parts in common, and the last one would hide the others.
        place = _raised(axes, (len(names) - 1) / 2 - names.index(name), len(names))
        line.set(transform=place, clip_on=False)
        scored = f" ({score:.2f}, {np.isfinite(own).sum()} of {len(own)})"
        room = layout.letters_of_legend(figure) - len(scored)
        entries[name] = (line, f"{called(name, room)}{scored}")
    axes.set(
        xlim=(1, largest_tau),
        ylim=(-0.04, 1.04),
        xlabel=rf"time relative to the fastest, $\tau$ ({unit})",
        ylabel="share of problems",
    )
    layout.legend_of(figure, [entries[name] for name in names])
    for text, name in zip(figure.legends[0].get_texts(), names, strict=True):
        layout.emphasize(text, name)
    skipped = sorted(set(results.problems) - set(problems))
    layout.notes(
        figure,
        [
            f"{counted(len(problems), 'problem')}: {listed(problems, 10)}.",
            f"Skipped: {listed(skipped, 4)}." if skipped else "",
            f"Left out, as not run on all: {listed(left_out, 4)}." if left_out else "",
            "In parentheses: the benchmark score, and how many targets are reached. Lines that "
            "coincide are drawn side by side.",
        ],
    )
    return figure


def _raised(axes: Axes, steps: float, of: int) -> Transform:
    """Where a line is drawn that is raised by so many steps of about its width."""
    height = steps * min(_STEP, _MOST_RAISED / of) / 72
    figure = axes.get_figure()
    assert figure is not None  # noqa: S101 # it is drawn in one
    return axes.transData + ScaledTranslation(0, height, figure.dpi_scale_trans)


def _require_unit(unit: str) -> None:
    if unit not in UNITS:
        message = f"Units of time are {', '.join(UNITS)}; got {unit!r}."
        raise ArgumentError(sentences(message, closest(str(unit), UNITS)))


def _require_comparison(optimizers: Sequence[str], problems: Sequence[str], unit: Unit) -> None:
    if len(optimizers) < 2:
        raise ArgumentError(
            f"Performance profiles compare optimizers, but there is only {optimizers[0]}. "
            "Give results of two or more, or show a reference set beside them."
        )
    if not problems:
        raise ArgumentError(
            f"There is no problem on which all of {joined(optimizers)} were run, that has a "
            f"target, and of which {unit} were recorded. Select fewer optimizers."
        )


def _draw(
    axes: Axes,
    selections: Sequence[Selection],
    goal: float,
    unit: Unit,
    styles: Mapping[str, Look],
) -> None:
    largest = 0.0
    by_name = {each.optimizer: each for each in selections}
    names = layout.in_order(by_name)
    for row, each in enumerate(by_name[name] for name in names):
        times = times_to_target(each, goal, unit)
        reached = times[np.isfinite(times)]
        largest = max([largest, *reached])
        _draw_row(axes, row, reached, len(times), styles[each.optimizer])
        is_recorded = not np.isnan(times).any()
        text = f"{len(reached)}/{len(times)}" if is_recorded else "not recorded"
        _write(axes, text, (1, row), xycoords=("axes fraction", "data"))
        if is_recorded and not len(reached):
            _write(axes, "never", (0, row))
    layout.rows_of_optimizers(axes, names)
    largest = largest or 1.0
    axes.set_xlim(-0.03 * largest, 1.05 * largest)
    limits.few_ticks(axes, "x", 5)


def _draw_row(axes: Axes, row: int, reached: Floats, seeds: int, look: Look) -> None:
    if len(reached):
        dots: dict[str, Any] = {"color": look.color, "alpha": 0.45, "label": look.name}
        dots["markersize"] = 2.5
        axes.plot(reached, [row] * len(reached), "o", **dots)
    # Where seeds miss the target, the mean of the others would be that of the fastest.
    if len(reached) == seeds:
        mark: dict[str, Any] = {"color": look.color, "alpha": look.alpha, "label": look.name}
        mark["markersize"] = 5.5 * look.weight**0.5
        axes.plot([mean_time(reached).mean], [row], look.marker, **mark)


def _write(axes: Axes, text: str, place: tuple[float, float], **options: Any) -> None:
    axes.annotate(
        text, place, (3, 0), textcoords="offset points", va="center", color=faint(),
        fontsize=text_size(layout.SMALL), **options,
    )  # fmt: skip
