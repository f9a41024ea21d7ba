"""What tuning gains: the figures `sensitivity`, `tuning_rank` and `expected_best`."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from matplotlib.lines import Line2D

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import expected_best_curve
from deepobs_analysis.plots import layout, limits
from deepobs_analysis.plots.looks import looks
from deepobs_analysis.plots.style import TITLES, ink, renamed, styled
from deepobs_analysis.selection import selections_by_problem
from deepobs_analysis.trials import Attempt, attempts, attempts_as_shown, best_at, common_seeds
from deepobs_analysis.wording import listed, seed_numbers, seeds_of_rings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from matplotlib.axes import Axes

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.plots.appearance import CommonOptions
    from deepobs_analysis.plots.looks import Look
    from deepobs_analysis.plots.style import ResultFigure
    from deepobs_analysis.results import Metric, Results
    from deepobs_analysis.selection import Mode, Selection

_MANY = 10
_FEW = 3


class _Rates(NamedTuple):
    """What was tried for an optimizer on a problem.

    `best` has the best configuration of each learning rate, with that of the selected one, which is
    `chosen`. Of the other hyperparameters, `varying` do so, with several values at each learning
    rate if `is_best_of_several`.
    """

    best: dict[float, Attempt]
    chosen: Attempt
    varying: tuple[str, ...]
    is_best_of_several: bool

    @property
    def is_line(self) -> bool:
        """Whether nothing but the learning rate tells neighbors apart, or each is a best one."""
        return not self.varying or self.is_best_of_several


@styled
def sensitivity(
    results: Results, *, mode: Mode = "most", **_common: Unpack[CommonOptions]
) -> ResultFigure:
    """Draw the test performance of all configurations over the learning rate.

    A point is the mean over seeds, for the best configuration with its learning rate; a bar is the
    standard deviation where there are several seeds. Points are joined by a line, unless other
    hyperparameters vary from one to the next. A cross at the border is a learning rate with which
    every configuration diverged. A ring is the configuration that represents the optimizer; if that
    was tuned, by the seeds of the report alone.

    Args:
        results: The runs.
        mode: How that configuration is chosen; see `select`. With "best", the best epoch of each
            run is drawn, else the last one.
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: No optimizer has a learning rate.
    """
    by_problem = selections_by_problem(results, mode)
    tried = {
        problem: {
            each.optimizer: _rates(each, attempts_as_shown(results, each, mode=mode))
            for each in selections
        }
        for problem, selections in by_problem.items()
    }
    drawn = {
        problem: those
        for problem, those in tried.items()
        if any(each.best for each in those.values())
    }
    if not drawn:
        raise ArgumentError(
            "There is nothing to draw: no run has a learning rate. Choose other results, or "
            "another plot."
        )
    figure, axes = layout.panels(len(drawn))
    styles = looks(results.optimizers)
    for panel, (problem, of_problem) in zip(axes, drawn.items(), strict=True):
        _draw_rates(panel, of_problem, styles, by_problem[problem])
    layout.titles(figure, axes, list(drawn))
    _label(axes, "learning rate", [by_problem[problem] for problem in drawn])
    names = [name for those in drawn.values() for name, of_name in those.items() if of_name.best]
    layout.legend(figure, names, further=_explained())
    when = "in the best epoch of each run" if mode == "best" else "after the last epoch"
    meaning = f"Performance {when}: mean over seeds and standard deviation."
    every = [(name, each) for those in drawn.values() for name, each in those.items()]
    seeds = seeds_of_rings(
        (attempt.seeds, attempt is each.chosen)
        for _, each in every
        for attempt in each.best.values()
    )
    layout.notes(figure, [meaning, seeds, *_notes_of_others(every), _note_of_cuts(axes)])
    return figure


@styled
def tuning_rank(
    results: Results, *, mode: Mode = "most", **_common: Unpack[CommonOptions]
) -> ResultFigure:
    """Draw the test performance of all configurations over their rank, the best one first.

    The longer a line stays near its beginning, the less tuning an optimizer needs. It ends with the
    last configuration of which all seeds completed; a cross at the border shows how many there
    were including those that diverged. Configurations are compared by the seeds that all of an
    optimizer were run with, or else by the one that most were.

    Args:
        results: The runs.
        mode: With "best", the best epoch of each run is drawn, else the last one.
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: There is nothing to draw, or the mode is unknown.
    """
    by_problem = selections_by_problem(results, mode)
    figure, axes = layout.panels(len(by_problem))
    styles = looks(results.optimizers)
    seeds: set[int] = set()
    for panel, selections in zip(axes, by_problem.values(), strict=True):
        compared = {}
        for name, tried in _tried(results, selections, mode).items():
            used = common_seeds([each.seeds for each in tried])
            compared[name] = [each.only(used) for each in tried if set(used) <= set(each.seeds)]
            seeds.update(used)
        _draw_ranks(panel, compared, selections[0].metric, styles)
    layout.titles(figure, axes, list(by_problem))
    _label(axes, "rank", by_problem.values())
    names = {each.optimizer for those in by_problem.values() for each in those}
    layout.legend(figure, names)
    when = "in the best epoch of each run" if mode == "best" else "after the last epoch"
    meaning = f"Mean over {seed_numbers(seeds)} {when}. Crosses: configurations that diverged."
    layout.notes(figure, [meaning, _note_of_cuts(axes)])
    return figure


@styled
def expected_best(
    results: Results, *, mode: Mode = "most", **_common: Unpack[CommonOptions]
) -> ResultFigure:
    """Draw the expected test performance of the best of k random configurations over k.

    The configurations that were tried for an optimizer stand for those that could be drawn, with
    the seeds that all of them were run with, or else the one that most were; a run that diverged
    counts with its performance before training.

    Args:
        results: The runs.
        mode: With "best", the best epoch of each run counts, else the last one.
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: There is nothing to draw, or the mode is unknown.
    """
    by_problem = selections_by_problem(results, mode)
    figure, axes = layout.panels(len(by_problem))
    styles = looks(results.optimizers)
    seeds: set[int] = set()
    for panel, selections in zip(axes, by_problem.values(), strict=True):
        metric, curves = selections[0].metric, {}
        for optimizer, tried in _tried(results, selections, mode).items():
            used, curves[optimizer] = _expected_best(tried, metric)
            seeds.update(used)
        _draw_expected_best(panel, curves, metric, styles)
    layout.titles(figure, axes, list(by_problem))
    _label(axes, "configurations", by_problem.values())
    layout.legend(figure, {e.optimizer for those in by_problem.values() for e in those})
    when = "in the best epoch" if mode == "best" else "after the last epoch"
    meaning = (
        f"Expected best performance {when} of k configurations, drawn at random from those "
        f"that were run with {seed_numbers(seeds)}."
    )
    layout.notes(figure, [meaning, _note_of_cuts(axes)])
    return figure


def _ring() -> dict[str, Any]:
    """Arguments for marking the selected configuration."""
    return {
        "linestyle": "none",
        "marker": "o",
        "markersize": 7,
        "markerfacecolor": "none",
        "markeredgecolor": ink(),
        "markeredgewidth": 0.9,
    }


def _explained() -> list[Line2D]:
    """What explains rings and crosses."""
    cross = Line2D([], [], linestyle="none", marker="x", color=ink(), label="diverged")
    return [Line2D([], [], **_ring(), label="selected"), cross]


def _note_of_cuts(axes: Sequence[Axes]) -> str:
    """A sentence that says so where lines leave their panels, else nothing."""
    return "Two slashes on an axis: worse values lie outside." if limits.mark_cuts(axes) else ""


def _tried(
    results: Results, selections: Iterable[Selection], mode: Mode
) -> dict[str, list[Attempt]]:
    """What was tried on a problem, by optimizer."""
    return {
        each.optimizer: attempts(results, each.problem, each.optimizer, mode=mode)
        for each in selections
    }


def _label(axes: Sequence[Axes], x: str, of_panels: Iterable[Sequence[Selection]]) -> None:
    layout.label_panels(axes, x, [TITLES[those[0].metric.curve("test")] for those in of_panels])


def _rates(selection: Selection, tried: Sequence[Attempt]) -> _Rates:
    """What was tried for an optimizer on a problem, by learning rate."""
    best = {
        rate: each for (rate,), each in best_at(tried, ["lr"], selection.metric).items() if rate > 0
    }
    names = sorted({name for each in tried for name in each.hyperparameters} - {"lr"})
    others = {name: {_text_of(each, name) for each in tried} for name in names}
    varying = tuple(name for name, values in others.items() if len(values) > 1)
    combinations: dict[float | None, set[tuple[str, ...]]] = defaultdict(set)
    for each in tried:
        combinations[each.number("lr")].add(tuple(_text_of(each, name) for name in varying))
    is_best_of_several = all(len(combinations[rate]) > 1 for rate in best)
    (chosen,) = (each for each in tried if each.configuration == selection.configuration)
    rate = chosen.number("lr")
    if rate in best:
        best[rate] = chosen
    return _Rates(best, chosen, varying, is_best_of_several)


def _text_of(attempt: Attempt, name: str) -> str:
    return json.dumps(attempt.hyperparameters.get(name), sort_keys=True, default=str)


def _notes_of_others(drawn: Iterable[tuple[str, _Rates]]) -> Iterator[str]:
    """What other hyperparameters do along a line, or between points that are not joined."""
    found: dict[tuple[tuple[str, ...], bool], dict[str, None]] = defaultdict(dict)
    for name, each in drawn:
        if each.varying and each.best:
            found[each.varying, each.is_best_of_several][renamed(name)] = None
    for is_best, meaning in (
        (True, "Drawn is the best of other hyperparameters at each learning rate"),
        (False, "Points are not joined where other hyperparameters vary between them"),
    ):
        texts = [
            f"{listed(varying)} of {listed(names)}"
            for (varying, are_best), names in found.items()
            if are_best == is_best
        ]
        if texts:
            yield f"{meaning}: {'; '.join(texts)}."


def _draw_rates(
    axes: Axes,
    of_optimizer: Mapping[str, _Rates],
    styles: Mapping[str, Look],
    selections: Sequence[Selection],
) -> None:
    metric = selections[0].metric
    rates = [rate for tried in of_optimizer.values() for rate in tried.best]
    limits.logarithmic(axes, "x", min(rates) / 1.6, max(rates) * 1.6)
    tried_by_any = [each for tried in of_optimizer.values() for each in tried.best.values()]
    means = [each.mean for each in tried_by_any if not each.has_diverged]
    ends = limits.limits_of_configurations(means or [0.0, 1.0], metric)
    ends.apply(axes)
    for row, (name, tried) in enumerate(of_optimizer.items()):
        # The value before training, which stands for a run that diverged, is not a result of the
        # learning rate: it gets a cross at the border instead of a place on the line.
        completed = {rate: each for rate, each in tried.best.items() if not each.has_diverged}
        stroke = styles[name].stroke(0.85)
        if not tried.is_line:
            stroke["linestyle"] = "none"
        drawn = axes.errorbar(
            list(completed),
            [each.mean for each in completed.values()],
            yerr=[each.deviation for each in completed.values()],
            **stroke,
            **styles[name].marks(
                len(completed) if tried.is_line and len(completed) > _MANY else None
            ),
            elinewidth=0.9,
        )
        for part in drawn.get_children():
            part.set_label(name)  # errorbar gives it to none of them
        lost = [rate for rate, each in tried.best.items() if each.has_diverged]
        layout.cross_out(axes, lost, row, styles[name], at_top=not metric.higher_is_better)
    for chosen in selections:
        tried = of_optimizer[chosen.optimizer]
        for rate, attempt in tried.best.items():
            if attempt is tried.chosen:
                # The border would cut the ring of the best one.
                is_within = ends.holds(attempt.mean)
                axes.plot([rate], [attempt.mean], **_ring(), zorder=4, clip_on=not is_within)


def _draw_ranks(
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
    limits.limits_of_configurations(means or [0.0, 1.0], metric).apply(axes)
    for row, (name, those) in enumerate(sorted_means.items()):
        look = styles[name]
        axes.plot(
            range(1, len(those) + 1),
            those,
            **look.stroke(0.85),
            **look.marks(None if len(those) <= _MANY else len(those)),
        )
        lost = range(len(those) + 1, len(of_optimizer[name]) + 1)
        layout.cross_out(axes, lost, row, look, at_top=not metric.higher_is_better)
    axes.set_xlim(0.5, max(map(len, of_optimizer.values())) + 0.5)
    limits.few_ticks(axes, "x", integer=True)


def _expected_best(tried: Sequence[Attempt], metric: Metric) -> tuple[tuple[int, ...], Floats]:
    """The seeds of configurations that can be compared, and the curve of those."""
    seeds = common_seeds([each.seeds for each in tried])
    means = [each.mean_of(seeds) for each in tried]
    values = [mean for mean in means if mean is not None]
    return seeds, expected_best_curve(values, higher_is_better=metric.higher_is_better)


def _draw_expected_best(
    axes: Axes, curves: Mapping[str, Floats], metric: Metric, styles: Mapping[str, Look]
) -> None:
    for name, curve in curves.items():
        look = styles[name]
        axes.plot(range(1, len(curve) + 1), curve, **look.stroke(), **look.marks(len(curve)))
    # The best of one or two is often far off: the panel shows what a few configurations give.
    few = [float(curve[min(_FEW, len(curve)) - 1]) for curve in curves.values()]
    best = [float(curve[-1]) for curve in curves.values()]
    limits.limits_around(best, few, higher_is_better=metric.higher_is_better).apply(axes)
    most = max(map(len, curves.values()))
    if most > _MANY:
        limits.logarithmic(axes, "x", 1, most)
    else:
        axes.set_xlim(1, max(2, most))
        limits.few_ticks(axes, "x", integer=True)
