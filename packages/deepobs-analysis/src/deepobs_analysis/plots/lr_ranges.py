"""The objective over a growing learning rate, as `deepobs lr-find` measures it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import matplotlib as mpl

from deepobs_analysis.plots import layout
from deepobs_analysis.plots.limits import Limits
from deepobs_analysis.plots.looks import looks
from deepobs_analysis.plots.style import faint, parameters, renamed, short_number

if TYPE_CHECKING:
    from deepobs.runs.lr_range import LrRange
    from deepobs_analysis.plots.style import ResultFigure


def lr_range(measured: LrRange) -> ResultFigure:
    """Draw what a learning rate range test saw.

    Args:
        measured: From `deepobs.runs.lr_range.lr_range`.
    """
    specification = measured.specification
    name = f"{renamed(specification.optimizer)} on {specification.testproblem}"
    with mpl.rc_context():
        mpl.rcParams.update(parameters())
        figure, (axes,) = layout.panels(1, height=2.4)
        look = looks([specification.optimizer])[specification.optimizer]
        axes.plot(measured.lrs, measured.objectives, ".", color=faint(), markersize=2.5)
        axes.plot(measured.lrs[: len(measured.smoothed)], measured.smoothed, **look.stroke())
        axes.set(xscale="log", xlabel="learning rate", ylabel="objective of a batch")
        _limits_of(measured).apply(axes)
        for lr, dashes in ((measured.steepest, ":"), (measured.lowest, "--")):
            if lr is not None:
                axes.axvline(lr, color=faint(), linestyle=dashes, linewidth=0.8)
        layout.titles(figure, [axes], [name])
        layout.notes(figure, _notes(measured))
    return figure


def _limits_of(measured: LrRange) -> Limits:
    """The values up to a little more than the first one: what diverges would flatten the rest."""
    first = measured.objectives[0]
    finite = [value for value in measured.objectives if math.isfinite(value)]
    low, high = min(finite), min(max(finite), first + 0.5 * abs(first))
    is_logarithmic = 0 < 10 * low < high
    margin = 1.2 if is_logarithmic else 0.06 * (high - low or 1.0)
    if is_logarithmic:
        return Limits(low / margin, high * margin, is_logarithmic=True)
    return Limits(low - margin, high + margin)


def _notes(measured: LrRange) -> list[str]:
    seed = measured.specification.random_seed
    notes = [
        f"Points: batches of {len(measured.lrs)} steps with seed {seed}; line: the mean over nine."
    ]
    if measured.steepest is not None and measured.lowest is not None:
        notes.append(
            f"Dotted: the objective falls fastest, {short_number(measured.steepest)}; dashed: it "
            f"is lowest, {short_number(measured.lowest)}."
        )
    if measured.diverged is not None:
        notes.append(f"Diverged at {short_number(measured.diverged)}.")
    return notes
