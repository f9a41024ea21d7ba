"""Who is best on each problem, and whether seeds alone could explain it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from deepobs_analysis.measures import performance_difference, stratified_bootstrap
from deepobs_analysis.standings import best_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepobs_analysis.measures import Interval
    from deepobs_analysis.standings import Standing

FEWEST_SEEDS = 3
"""Of fewer seeds nothing is said about what other seeds would give."""


@dataclass(frozen=True, slots=True)
class Lead:
    """The best optimizer on a problem, and by how much it leads.

    Attributes:
        first: The one with the best mean.
        second: The next one; `None` where there is no other.
        difference: How much better the mean of the first is; `None` without a second.
        interval: Of 95 % of that difference, by a bootstrap over seeds; `None` where one of them
            has fewer than `FEWEST_SEEDS`.
    """

    first: Standing
    second: Standing | None = None
    difference: float | None = None
    interval: Interval | None = None

    @property
    def is_clear(self) -> bool:
        """Whether other seeds would hardly turn it around."""
        return self.interval is not None and self.interval.low > 0


def leads(rows: Iterable[Standing]) -> dict[str, Lead]:
    """Find the best optimizer on each problem.

    Args:
        rows: From `standings`.
    """
    by_problem: dict[str, list[Standing]] = {}
    for row in rows:
        by_problem.setdefault(row.problem, []).append(row)
    return {problem: _lead(those) for problem, those in by_problem.items()}


def _lead(rows: list[Standing]) -> Lead:
    first = best_of(rows)
    others = [row for row in rows if row is not first]
    if not others:
        return Lead(first)
    second = best_of(others)
    measure = partial(performance_difference, higher_is_better=first.higher_is_better)
    both = [[row.selection.final()] for row in (first, second)]
    interval = None
    if min(len(first.seeds), len(second.seeds)) >= FEWEST_SEEDS:
        interval = stratified_bootstrap(measure, *both, generator=np.random.default_rng(0))
    return Lead(first, second, float(measure(*both)), interval)
