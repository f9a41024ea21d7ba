"""Which optimizer is better over many problems: the figures `ranks` and `comparison`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap, ListedColormap

from deepobs.console.text import counted
from deepobs.errors import ArgumentError, joined
from deepobs_analysis.measures import (
    improvement_interval,
    probability_of_improvement,
    rank_distribution,
)
from deepobs_analysis.plots import layout, limits
from deepobs_analysis.plots.appearance import current
from deepobs_analysis.plots.looks import looks
from deepobs_analysis.plots.style import (
    DOUBLE_COLUMN,
    SINGLE_COLUMN,
    called,
    scale,
    styled,
    text_size,
    verbatim,
)
from deepobs_analysis.selection import references_left_out, selections_by_problem
from deepobs_analysis.wording import listed, seeds_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deepobs_analysis.measures import Interval
    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.plots.appearance import CommonOptions
    from deepobs_analysis.plots.style import ResultFigure
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode

_ROOM_FOR_A_NUMBER = 0.07
_ROOM_FOR_PROBABILITY = 0.3  # inches
_ROOM_FOR_INTERVAL, _NARROWEST, _BESIDE_CELLS = 0.8, 2.4, 0.7  # inches


class _Comparison(NamedTuple):
    """Final test performances of optimizers on the same problems.

    `scores` hold for each optimizer the performance of each seed per problem, infinitely bad for
    one that diverged; `note` says which problems are compared.
    """

    optimizers: list[str]
    scores: list[list[Floats]]
    higher_is_better: list[bool]
    note: str

    @property
    def fewest_seeds(self) -> int:
        """The fewest seeds of an optimizer on a problem."""
        return min(len(each) for scores in self.scores for each in scores)

    @property
    def seeds(self) -> str:
        """How many seeds optimizers have on a problem, in words."""
        return seeds_text(len(each) for scores in self.scores for each in scores)


@styled
def ranks(
    results: Results, *, mode: Mode = "most", **_common: Unpack[CommonOptions]
) -> ResultFigure:
    """Draw how the ranks of optimizers by final test performance are distributed.

    Left are the shares of rank 1, 2, ... over problems and bootstrap samples of the seeds; right is
    the mean rank, with the middle 95 % of the samples where there are several seeds.

    Args:
        results: The runs. Problems that not all optimizers were run on are skipped.
        mode: Which configuration of an optimizer is shown; see `select`.
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: There are fewer than two optimizers, or no problem that all were run on.
    """
    compared = _comparison(results, mode)
    distribution = rank_distribution(
        compared.scores,
        higher_is_better=compared.higher_is_better,
        generator=np.random.default_rng(0),
    )
    order = np.argsort(distribution.mean_ranks, kind="stable")
    if current().order:
        order = np.arange(len(compared.optimizers))
    names = [compared.optimizers[place] for place in order]
    height = 0.75 + 0.24 * len(names) * scale()
    figure, (left, right) = layout.panels(
        2, columns=2, height=height, width=DOUBLE_COLUMN, narrowest=_NARROWEST
    )
    _draw_shares(left, distribution.shares[order])
    styles = looks(results.optimizers)
    for row, place in enumerate(order):
        look, interval = styles[names[row]], distribution.intervals[place]
        if compared.fewest_seeds > 1:
            line: dict[str, Any] = {"color": look.color, "alpha": look.alpha, "label": look.name}
            right.plot(interval, [row, row], linewidth=2.2 * look.weight, **line)
        right.plot(
            [distribution.mean_ranks[place]],
            [row],
            look.marker,
            color=look.color,
            markersize=5.5,
            alpha=look.alpha,
            label=look.name,
        )
    spread = " (95 % of samples)" if compared.fewest_seeds > 1 else ""
    right.set(xlabel=verbatim(f"mean rank{spread}"), xlim=(0.75, len(names) + 0.25))
    limits.few_ticks(right, "x", 6)
    layout.rows_of_optimizers(left, names)
    if layout.fitting(2, _NARROWEST) == 1:
        layout.rows_of_optimizers(right, names)
    else:
        layout.rows_of_names(right, [""] * len(names))
    layout.notes(figure, [f"Bootstrap over {compared.seeds}.", compared.note])
    return figure


@styled
def comparison(
    results: Results, *, mode: Mode = "most", **_common: Unpack[CommonOptions]
) -> ResultFigure:
    """Draw the probability that an optimizer (row) beats another one (column).

    It is the probability that a run of one has a better final test performance than a run of the
    other on the same problem, averaged over problems; in brackets its 95 % confidence interval.

    Args:
        results: The runs. Problems that not all optimizers were run on are skipped.
        mode: Which configuration of an optimizer is shown; see `select`.
        _common: The options of all figures; see `appearance.COMMON`.

    Raises:
        ArgumentError: There are fewer than two optimizers, or no problem that all were run on.
    """
    compared = _comparison(results, mode)
    count = len(compared.optimizers)
    needed = _ROOM_FOR_INTERVAL * count * scale()
    has_intervals = compared.fewest_seeds > 1 and (current().width or DOUBLE_COLUMN) > needed
    longest = max(len(called(name)) for name in compared.optimizers)
    beside = _BESIDE_CELLS + layout.LETTER * layout.SMALL * longest
    width = min(DOUBLE_COLUMN, max(SINGLE_COLUMN, (beside + 0.68 * count) * scale()))
    has_numbers = (width - beside) / count > _ROOM_FOR_PROBABILITY * scale()
    row_height = (0.42 if has_numbers else 0.2) * scale()
    figure, (axes,) = layout.panels(1, width=width, height=0.55 + row_height * count)
    probabilities = np.full((count, count), np.nan)
    for row, column in itertools.permutations(range(count), 2):
        probability, interval = _probability(compared, row, column)
        probabilities[row, column] = probability
        if has_numbers:
            _write(axes, row, column, probability, interval if has_intervals else None)
    image = axes.imshow(
        probabilities, cmap=_diverging(), vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=22, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.outline.set_visible(False)
    bar.set_label("row beats column")
    # Long names would overlap below narrow columns, and slanted ones take room from the panel.
    names = [called(name, layout.letters_beside(axes)) for name in compared.optimizers]
    longest, letter = max(map(len, names)), layout.LETTER * layout.SMALL * scale()
    cell = (figure.get_figwidth() - _BESIDE_CELLS * scale() - longest * letter) / count
    has_room = longest * letter < cell
    slanted = 30 if has_numbers else 90
    axes.set_xticks(range(count), names, rotation=0 if has_room else slanted)
    if has_numbers and not has_room:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), names)
    for label, name in zip(axes.get_yticklabels(), compared.optimizers, strict=True):
        layout.emphasize(label, name)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    intervals = f"In brackets: 95 % interval over {compared.seeds}." if has_intervals else ""
    meaning = "Probability that a run of the row beats one of the column."
    layout.notes(figure, [meaning, intervals, compared.note])
    return figure


def _comparison(results: Results, mode: Mode) -> _Comparison:
    of_all = selections_by_problem(results, mode)
    left_out = references_left_out(each for those in of_all.values() for each in those)
    by_problem = {
        problem: kept
        for problem, those in of_all.items()
        if (kept := [each for each in those if each.optimizer not in left_out])
    }
    optimizers = layout.in_order(each.optimizer for those in by_problem.values() for each in those)
    if len(optimizers) < 2:
        raise ArgumentError(
            f"Optimizers are compared, but there is only {optimizers[0]}. Give results of two or "
            "more, or show a reference set beside them."
        )
    common = [problem for problem, those in by_problem.items() if len(those) == len(optimizers)]
    if not common:
        raise ArgumentError(
            f"There is no problem on which all of {joined(optimizers)} were run. Select fewer "
            "optimizers."
        )
    by_pair = {(e.problem, e.optimizer): e for those in by_problem.values() for e in those}
    skipped = [problem for problem in by_problem if problem not in common]
    notes = [
        f"{counted(len(common), 'problem')}: {listed(common, 10)}.",
        f"Not run by all: {listed(skipped, 4)}." if skipped else "",
        f"Left out, as not run on all: {listed(left_out, 4)}." if left_out else "",
    ]
    return _Comparison(
        optimizers,
        [[by_pair[problem, name].final_or_worst() for problem in common] for name in optimizers],
        [by_problem[problem][0].metric.higher_is_better for problem in common],
        " ".join(filter(None, notes)),
    )


def _draw_shares(axes: Axes, shares: Floats) -> None:
    colors = mpl.colormaps["cividis"](np.linspace(0.08, 0.95, shares.shape[1]))
    starts = np.cumsum(shares, axis=1) - shares
    for rank, color in enumerate(colors):
        rows = np.arange(len(shares))
        axes.barh(
            rows, shares[:, rank], left=starts[:, rank], color=color, height=0.72,
            label=f"rank {rank + 1}",
        )  # fmt: skip
        ink = "white" if np.mean(color[:3]) < 0.5 else "black"
        for row in rows[shares[:, rank] > _ROOM_FOR_A_NUMBER]:
            center = starts[row, rank] + shares[row, rank] / 2
            axes.text(
                center,
                row,
                str(rank + 1),
                ha="center",
                va="center",
                color=ink,
                fontsize=text_size(layout.SMALL),
            )
    axes.set(xlabel="share of problems and samples", xlim=(0, 1))
    axes.grid(visible=False)


def _probability(compared: _Comparison, row: int, column: int) -> tuple[float, Interval | None]:
    own, other = compared.scores[row], compared.scores[column]
    better = compared.higher_is_better
    return (
        float(probability_of_improvement(own, other, higher_is_better=better)),
        improvement_interval(own, other, higher_is_better=better),
    )


def _write(
    axes: Axes, row: int, column: int, probability: float, interval: Interval | None
) -> None:
    ink = "white" if abs(probability - 0.5) > 0.4 else "black"
    axes.text(
        column, row, f"{probability:.2f}", ha="center", color=ink,
        va="center" if interval is None else "bottom",
    )  # fmt: skip
    if interval is not None:
        text = f"[{interval.low:.2f}, {interval.high:.2f}]"
        axes.text(
            column,
            row + 0.08,
            text,
            ha="center",
            va="top",
            color=ink,
            fontsize=text_size(layout.SMALLEST),
        )


def _diverging() -> Colormap:
    """From orange over white to purple: the color-blind can tell them apart, too."""
    light = mpl.colormaps["PuOr"](np.linspace(0.14, 0.86, 256))
    return ListedColormap(light).with_extremes(bad="#f2f2f2")
