"""Whether the seeds that a setting was chosen by speak for other seeds.

Published results show why that must be asked: 36 learning rates of SGD on mnist_vae were compared
by one seed, and with the one that was chosen, four of ten seeds learn nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepobs_analysis.rounding import full_mean_text, number
from deepobs_analysis.wording import counted, listed

if TYPE_CHECKING:
    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.standings import Standing

__all__ = ["failing_seeds", "lucky_seeds", "of_the_choice", "two_groups"]

_STANDARD_ERRORS = 2
"""By how many the seeds of a choice are better than all seeds, for a warning."""

_FEWEST_TO_SPLIT = 5  # seeds: fewer fall into two groups by chance
_GAP = 10  # between two groups of seeds, as a multiple of the spread within either
_LOSS = 0.02  # what the worse group loses, as a share of what training gained


def failing_seeds(row: Standing) -> str | None:
    """Say so where some seeds of the setting that is shown fail.

    They do where seeds are `two_groups`, of which the worse loses 2 % of what training gained.
    """
    groups = two_groups(row.selection.final())
    if groups is None:
        return None
    good, bad = reversed(groups) if row.higher_is_better else groups
    usual, failed = float(np.median(good)), float(np.median(bad))
    gained = abs(usual - row.selection.curves()[:, 0].mean())
    if abs(usual - failed) < _LOSS * gained:
        return None
    return (
        f"{named(row)}: {_by_choice(row)}{_over_all(row)}. "
        f"Near {number(usual)}: {counted(len(good), 'seed')}; "
        f"near {number(failed)}: {counted(len(bad), 'seed')}."
    )


def lucky_seeds(row: Standing) -> str | None:
    """Say so where the seeds of the choice did better than all seeds by two standard errors."""
    values = of_the_choice(row)
    if not len(values) or failing_seeds(row) is not None:
        return None
    sign = 1 if row.higher_is_better else -1
    error = row.final.deviation / np.sqrt(len(row.seeds))
    if sign * (values.mean() - row.final.mean) <= _STANDARD_ERRORS * error:
        return None
    return f"{named(row)}: {_by_choice(row)}{_over_all(row)}."


def two_groups(values: Floats) -> tuple[Floats, Floats] | None:
    """Split seeds that fall into two groups.

    Args:
        values: The performance of each seed, shape (seeds,).

    Returns:
        The lower and the higher ones, where the gap between them is more than ten times the
        standard deviation within either, and there are five seeds or more; else `None`.
    """
    in_order = np.sort(values)
    if len(in_order) < _FEWEST_TO_SPLIT:
        return None
    gaps = np.diff(in_order)
    place = int(gaps.argmax()) + 1
    low, high = in_order[:place], in_order[place:]
    within = max(low.std(), high.std())
    return (low, high) if gaps[place - 1] > max(_GAP * within, 0) else None


def of_the_choice(row: Standing) -> Floats:
    """The performances of those seeds that decided, empty where all seeds or none did."""
    is_of_choice = np.isin(row.seeds, row.trials.tuning_seeds)
    finals = row.selection.final()
    return finals[is_of_choice] if not is_of_choice.all() else finals[:0]


def named(row: Standing) -> str:
    """What a sentence about a row begins with."""
    return f"{row.optimizer} on {row.problem}"


def _over_all(row: Standing) -> str:
    return f"{full_mean_text(row.final)} over all {len(row.seeds)} seeds"


def _by_choice(row: Standing) -> str:
    """The performance of the seeds of the choice; empty where there are no other seeds."""
    values = of_the_choice(row)
    if not len(values):
        return ""
    seeds = [str(seed) for seed in row.seeds if seed in row.trials.tuning_seeds]
    which = "seed" if len(seeds) == 1 else "seeds"
    return (
        f"{number(float(values.mean()))} with {which} {listed(seeds)}, by which its "
        f"{row.selection.settings} settings compare, but "
    )
