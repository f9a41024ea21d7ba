"""Curves of the chosen configurations: `performance`, `overview` and `gradient_norms`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, Unpack, get_args

import numpy as np
from matplotlib.lines import Line2D

from deepobs.errors import ArgumentError, closest, sentences
from deepobs_analysis.failing_seeds import failing
from deepobs_analysis.measures import (
    mean_and_deviation,
    mean_interval,
    quartiles,
)
from deepobs_analysis.plots import layout, limits
from deepobs_analysis.plots.looks import looks
from deepobs_analysis.plots.style import (
    DOUBLE_COLUMN,
    TITLES,
    called,
    ink,
    renamed,
    short_number,
    shown,
    styled,
    text_size,
    verbatim,
)
from deepobs_analysis.selection import selections_by_problem
from deepobs_analysis.targets import targets
from deepobs_analysis.wording import listed, seeds_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.plots.appearance import CommonOptions
    from deepobs_analysis.plots.looks import Look
    from deepobs_analysis.plots.style import ResultFigure
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode, Selection
    from deepobs_analysis.targets import Target

Show: TypeAlias = Literal["mean", "median", "interval"]

_EXPLANATIONS: dict[Show, str] = {
    "mean": "Lines: mean over seeds; bands: standard deviation.",
    "median": "Lines: median over seeds; bands: quartiles.",
    "interval": "Lines: mean over seeds; bands: its 95 % confidence interval",
}
_CURVES = ("train_losses", "test_losses", "train_accuracies", "test_accuracies")
_TEST_CURVES = ("test_losses", "test_accuracies")
_PROBLEMS_IN_A_ROW = 4
_MOST_POINTS = 100  # of a curve of gradient norms: more would be noise
_DOTS: dict[str, Any] = {"linewidth": 0.8, "linestyle": ":", "zorder": 1.5}
_ROW, _ROW_OF_OVERVIEW = 1.3, 1.4  # inches


class _Drawn(NamedTuple):
    """What a panel does not show.

    Attributes:
        is_clipped: Whether parts of curves lie outside.
        is_band_cut: Whether bands on a logarithmic axis would have gone below 0.
        hidden: The optimizers that end outside.
    """

    is_clipped: bool
    is_band_cut: bool
    hidden: list[str]


@styled
def performance(
    results: Results,
    *,
    mode: Mode = "most",
    show: Show = "mean",
    **_common: Unpack[CommonOptions],
) -> ResultFigure:
    """Draw loss and accuracy on training and test set over epochs.

    One problem takes a figure of up to four panels, several take a row each. Losses that span more
    than a decade have a logarithmic axis. A dashed line is the target performance.

    Args:
        results: The runs.
        mode: Which configuration of an optimizer is shown; see `select`.
        show: Over seeds, "mean" and standard deviation, "median" and quartiles, or the mean with a
            confidence "interval".
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: There is nothing to draw, or an option is unknown.
    """
    _require_show(show)
    by_problem = selections_by_problem(results, mode)
    everything = [each for those in by_problem.values() for each in those]
    goals = targets(everything)
    measured = [curve for curve in _CURVES if _is_measured(curve, everything)]
    is_single = len(by_problem) == 1
    figure, rows = _one(len(measured)) if is_single else _several(list(by_problem), measured)
    drawn = {}
    styles = looks(results.optimizers)
    for axes_of_row, (problem, selections) in zip(rows, by_problem.items(), strict=True):
        for axes, curve in zip(axes_of_row, measured, strict=True):
            if not _is_measured(curve, selections):
                axes.remove()
                continue
            if is_single:
                axes.set_ylabel(TITLES[curve])
            drawn[problem, curve] = _draw(axes, selections, curve, styles, show, goals)
    if not is_single:
        _label_columns(figure, rows, measured)
        layout.drop_empty_rows(figure, _ROW)
    title = shown(next(iter(by_problem)), 60) if is_single else None
    names = {each.optimizer for each in everything}
    layout.legend(figure, names, further=_target(goals), title=title)
    layout.notes(figure, _notes(everything, drawn, show))
    return figure


@styled
def overview(
    results: Results,
    *,
    mode: Mode = "most",
    show: Show = "mean",
    **_common: Unpack[CommonOptions],
) -> ResultFigure:
    """Draw test loss and test accuracy on every problem over epochs, as DeepOBS 1.2 does.

    Problems stand beside each other, the accuracy below the loss. A dashed line is the target
    performance.

    Args:
        results: The runs.
        mode: Which configuration of an optimizer is shown; see `select`.
        show: Over seeds, "mean" and standard deviation, "median" and quartiles, or the mean with a
            confidence "interval".
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: There is nothing to draw, or an option is unknown.
    """
    _require_show(show)
    by_problem = selections_by_problem(results, mode)
    everything = [each for those in by_problem.values() for each in those]
    goals = targets(everything)
    styles = looks(results.optimizers)
    across = min(len(by_problem), layout.fitting(_PROBLEMS_IN_A_ROW))
    blocks = -(-len(by_problem) // across)
    figure, axes = layout.panels(2 * blocks * across, columns=across, height=_ROW_OF_OVERVIEW)
    # Those without an accuracy last: elsewhere, each would leave a gap below.
    places = sorted(by_problem.items(), key=lambda item: not _is_measured(_TEST_CURVES[1], item[1]))
    drawn, titled = {}, {}
    for place, panel in enumerate(axes):
        row, column = divmod(place, across)
        number, curve = row // 2 * across + column, _TEST_CURVES[row % 2]
        problem, selections = places[number] if number < len(places) else ("", [])
        if not _is_measured(curve, selections):
            panel.remove()
            continue
        drawn[problem, curve] = _draw(panel, selections, curve, styles, show, goals)
        if row % 2 == 0:
            titled[problem] = panel
        if column == 0:
            panel.set_ylabel(TITLES[curve])
        if row % 2 == 1 or not _is_measured(_TEST_CURVES[1], selections):
            panel.set_xlabel("epoch")
    layout.titles(figure, list(titled.values()), list(titled))
    layout.drop_empty_rows(figure, _ROW_OF_OVERVIEW)
    names = {each.optimizer for each in everything}
    layout.legend(figure, names, further=_target(goals))
    layout.notes(figure, _notes(everything, drawn, show))
    return figure


@styled
def gradient_norms(
    results: Results, *, mode: Mode = "most", **_common: Unpack[CommonOptions]
) -> ResultFigure:
    """Draw the norm of the gradient over epochs, before clipping, on every problem.

    Runs record it with `log_gradient_norm` or `clip_norm`. Dotted lines are norms to which
    gradients were clipped.

    Args:
        results: The runs.
        mode: Which configuration of an optimizer is shown; see `select`.
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: There is nothing to draw, or an option is unknown.
    """
    by_problem: dict[str, list[tuple[Selection, Floats, Floats]]] = {}
    for problem, selections in selections_by_problem(results, mode).items():
        drawn = [(each, *_norms(each)) for each in selections if _has_norms(each)]
        if drawn:
            by_problem[problem] = drawn
    if not by_problem:
        raise ArgumentError(
            "There is nothing to draw: the runs did not record the norms of gradients. Execute "
            "them with --log-gradient-norm or --clip-norm."
        )
    across = min(len(by_problem), layout.fitting(_PROBLEMS_IN_A_ROW))
    figure, axes = layout.panels(len(by_problem), columns=across, height=_ROW_OF_OVERVIEW)
    styles = looks(results.optimizers)
    names, limited = set(), False
    for panel, drawn in zip(axes, by_problem.values(), strict=True):
        for selection, epochs, (low, center, high) in drawn:
            look = styles[selection.optimizer]
            panel.plot(epochs, center, **look.stroke(), **look.marks(len(center)))
            band = panel.fill_between(epochs, low, high, color=look.color, linewidth=0)
            band.set(alpha=0.2 * look.alpha, label=selection.optimizer)
            limit = selection.rows.first("measurement").get("clip_norm")
            if limit is not None:
                panel.axhline(limit, color=look.color, **_DOTS)
                limited = True
            names.add(selection.optimizer)
        panel.set_yscale("log")
        low_end, high_end = panel.get_ylim()
        limits.logarithmic(panel, "y", low_end, high_end)
        panel.set_xlim(0, max(selection.rows.first("num_epochs") for selection, *_ in drawn))
        limits.few_ticks(panel, "x", integer=True)
    layout.titles(figure, axes, list(by_problem))
    layout.label_panels(axes, "epoch", ["norm of the gradient"] * len(axes))
    dots = [Line2D([], [], label="clip norm", color=ink(), **_DOTS)] if limited else []
    layout.legend(figure, names, further=dots)
    layout.notes(
        figure, ["Lines: median over seeds of the norm before clipping; bands: quartiles."]
    )
    return figure


def _has_norms(selection: Selection) -> bool:
    """Whether all seeds recorded a norm before they diverged, if they did."""
    rows = selection.rows
    return rows.all_have("gradient_norms") and all(
        len(each) and np.isfinite(each[:2]).all() for each in rows["gradient_norms"]
    )


def _norms(selection: Selection) -> tuple[Floats, Floats]:
    """Epochs, and quartiles of norms over seeds, shape (3, points), until a seed diverges."""
    each_seed = [norms.reshape(-1, 2) for norms in selection.rows["gradient_norms"]]
    steps = functools.reduce(np.intersect1d, [those[:, 0] for those in each_seed])
    norms = np.stack([those[np.isin(those[:, 0], steps), 1] for those in each_seed])
    finite = np.isfinite(norms).all(axis=0)
    shared = len(steps) if finite.all() else int(np.argmin(finite))
    epochs = steps[:shared] / selection.rows.first("steps_per_epoch")
    points = min(shared, _MOST_POINTS)
    windows = [part.mean(axis=1) for part in np.array_split(norms[:, :shared], points, axis=1)]
    places = np.array([part.mean() for part in np.array_split(epochs, points)])
    return places, np.array([quartiles(window) for window in windows]).T


def _require_show(show: str) -> None:
    known = get_args(Show)
    if show not in known:
        message = f"Curves show one of {', '.join(known)}; got {show!r}."
        raise ArgumentError(sentences(message, closest(str(show), known)))


def _is_measured(curve: str, selections: Iterable[Selection]) -> bool:
    """Whether some of the selections have a curve for all seeds."""
    return any(each.rows.all_have(curve) for each in selections)


def _draw(
    axes: Axes,
    selections: Sequence[Selection],
    curve: str,
    styles: Mapping[str, Look],
    show: Show,
    goals: Mapping[str, Target],
) -> _Drawn:
    """Draw a curve of each optimizer that has it over epochs, and the target if it is its own."""
    drawn = [each for each in selections if each.rows.all_have(curve)]
    positions = {each.optimizer: each.rows.first("evaluated_at") for each in drawn}
    bands = {each.optimizer: _band(each, curve, show) for each in drawn}
    is_higher_better = curve.endswith("accuracies")
    ends = limits.limits_of_curves(bands, higher_is_better=is_higher_better)
    is_band_cut = ends.is_logarithmic and _cut_below_zero(bands, drawn, curve)
    for name, (low, center, high) in bands.items():
        look, epochs = styles[name], positions[name]
        axes.plot(epochs, center, **look.stroke(), **look.marks(len(center)))
        if not np.array_equal(low, high):
            band = axes.fill_between(epochs, low, high, color=look.color, linewidth=0)
            band.set(alpha=0.2 * look.alpha, label=name)
    goal = goals.get(selections[0].problem)
    if goal and curve == selections[0].metric.curve("test"):
        axes.axhline(goal.value, **_dashes(), zorder=1.5)
    ends.apply(axes)
    axes.set_xlim(0, max(1, *(epochs[-1] for epochs in positions.values())))
    limits.few_ticks(axes, "x", integer=True)
    finals = {name: float(center[-1]) for name, (_, center, _) in bands.items()}
    hidden = {name: value for name, value in finals.items() if not ends.holds(value)}
    for row, (name, value) in enumerate(hidden.items()):
        _point_at(axes, value, row, styles[name], at_top=not is_higher_better)
    return _Drawn(limits.mark_cuts([axes]), is_band_cut, list(hidden))


def _cut_below_zero(
    bands: Mapping[str, Floats], selections: Iterable[Selection], curve: str
) -> bool:
    """Let bands end at the lowest seed instead of below 0; whether any of them does.

    On a logarithmic axis they would fall to the border, and rise again at the next epoch.
    """
    is_any = False
    for each in selections:
        low = bands[each.optimizer][0]
        is_below = low <= 0
        low[is_below] = each.measured(curve).min(axis=0)[is_below]
        is_any |= bool(is_below.any())
    return is_any


def _point_at(axes: Axes, value: float, row: int, look: Look, *, at_top: bool) -> None:
    """Say in the corner of a panel where a curve ends that lies outside."""
    outside = f" {verbatim('↑' if at_top else '↓')} {short_number(value)}"
    text = f"{called(look.name, layout.letters_within(axes) - len(outside))}{outside}"
    line = text_size(layout.SMALL) * 1.25
    annotation = axes.annotate(
        text, (1, 1 if at_top else 0), (-2, (-2 - row * line) * (1 if at_top else -1)),
        xycoords="axes fraction", textcoords="offset points", ha="right",
        va="top" if at_top else "bottom", fontsize=text_size(layout.SMALL), color=look.color,
        label=look.name,
    )  # fmt: skip
    # A long name would shrink all panels of its column.
    annotation.set_in_layout(False)


def _dashes() -> dict[str, Any]:
    """Arguments for drawing the line of a target."""
    return {"color": ink(), "linewidth": 0.7, "linestyle": (0, (3, 3))}


def _target(goals: Mapping[str, Target]) -> list[Line2D]:
    """What explains the lines of targets, if there are any."""
    return [Line2D([], [], label="target", **_dashes())] if goals else []


def _band(selection: Selection, curve: str, show: Show) -> Floats:
    """Lower end, center and upper end over seeds, shape (3, evaluations)."""
    values = selection.measured(curve)
    if show == "interval":
        if failing(selection).any():
            return np.tile(values.mean(axis=0), (3, 1))
        step = selection.resolution(curve)
        return np.array([_interval(epoch, step) for epoch in values.T]).T
    summarize = {"mean": _deviations, "median": quartiles}[show]
    return np.array([summarize(epoch) for epoch in values.T]).T


def _deviations(values: Floats) -> tuple[float, float, float]:
    mean, deviation = mean_and_deviation(values)
    return mean - deviation, mean, mean + deviation


def _interval(values: Floats, resolution: float) -> tuple[float, float, float]:
    mean = mean_and_deviation(values).mean
    interval = mean_interval([values], resolution=resolution)
    return (mean, mean, mean) if interval is None else (interval.low, mean, interval.high)


def _notes(
    selections: Sequence[Selection], drawn: Mapping[tuple[str, str], _Drawn], show: Show
) -> Iterable[str]:
    """What lines and bands are, what lies outside the panels, and what diverged."""
    if show != "interval":
        yield _EXPLANATIONS[show]
    else:
        yield f"{_EXPLANATIONS[show]} from {seeds_text(len(each.runs) for each in selections)}."
        failed = [
            f"{renamed(each.optimizer)} on {each.problem} ({count} of {len(each.runs)} seeds)"
            for each in selections
            if (count := int(failing(each).sum()))
        ]
        if failed:
            yield f"No interval, as seeds fail: {listed(failed, 4)}."
    if any(each.is_band_cut for each in drawn.values()):
        yield "Bands that would go below 0 end at the lowest seed where axes are logarithmic."
    if any(each.is_clipped for each in drawn.values()):
        yield "Two slashes on an axis: what lies beyond is omitted, such as the first epochs."
    hidden = {
        f"{renamed(name)} on {problem}"
        for (problem, _), each in drawn.items()
        for name in each.hidden
    }
    if hidden:
        yield f"Outside at the end: {listed(sorted(hidden), 4)}."
    diverged = [
        f"{renamed(each.optimizer)} on {each.problem} ({lost} of {len(each.runs)} seeds)"
        for each in selections
        if (lost := int(each.rows["has_diverged"].sum()))
    ]
    if diverged:
        yield f"Diverged, shown with the value before training: {listed(diverged, 4)}."


def _one(count: int) -> tuple[ResultFigure, list[list[Axes]]]:
    figure, axes = layout.panels(count, columns=2, height=1.9, width=DOUBLE_COLUMN)
    for panel in axes[-layout.fitting(2) :]:
        panel.set_xlabel("epoch")
    return figure, [axes]


def _several(
    problems: Sequence[str], measured: Sequence[str]
) -> tuple[ResultFigure, list[list[Axes]]]:
    """A row of panels for each problem, or several if they do not fit beside each other."""
    columns = layout.fitting(len(measured))
    down = -(-len(measured) // columns)
    count = len(problems) * down * columns
    figure, axes = layout.panels(count, columns=columns, height=_ROW, width=DOUBLE_COLUMN)
    rows = []
    for start, problem in zip(range(0, count, down * columns), problems, strict=True):
        block = axes[start : start + down * columns]
        rows.append(block[: len(measured)])
        for unused in block[len(measured) :]:
            unused.remove()
        if down == 1:
            block[0].set_ylabel("\n".join(layout.in_lines(problem, 17)))
        else:
            for panel, curve in zip(block, measured, strict=False):
                panel.set_ylabel(TITLES[curve])
    if down > 1:
        layout.titles(figure, [row[0] for row in rows], problems)
    return figure, rows


def _label_columns(
    figure: ResultFigure, rows: Sequence[Sequence[Axes]], measured: Sequence[str]
) -> None:
    """Write above columns what they show, and below them what their x axis is."""
    columns = layout.fitting(len(measured))
    if columns < len(measured):
        for panel in [axes for axes in rows[-1] if axes in figure.axes][-columns:]:
            panel.set_xlabel("epoch")
        return
    for place, curve in enumerate(measured):
        # Not all problems have all curves: the first and the last panel that is left.
        column = [row[place] for row in rows if row[place] in figure.axes]
        column[0].set_title(TITLES[curve])
        column[-1].set_xlabel("epoch")
