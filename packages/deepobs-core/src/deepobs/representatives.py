"""Which configuration represents an optimizer on a problem."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

ConfigurationT = TypeVar("ConfigurationT")


def best_configuration(
    runs: Iterable[tuple[ConfigurationT, float, bool]],
    *,
    higher_is_better: bool,
    most_seeds_first: bool = True,
) -> ConfigurationT | None:
    """The configuration that represents an optimizer on a problem, by the mean over its seeds.

    Args:
        runs: Each one's configuration, its performance, before training if it diverged, and whether
            it completed.
        higher_is_better: Whether larger performances are better.
        most_seeds_first: Compare only configurations with the most completed seeds: one that
            diverges with some of them must not win by the mean of the lucky ones.

    Returns:
        The best one, the first of equal ones; `None` without runs.
    """
    performances: dict[ConfigurationT, list[float]] = {}
    completed: dict[ConfigurationT, int] = {}
    for configuration, performance, has_completed in runs:
        performances.setdefault(configuration, []).append(performance)
        completed[configuration] = completed.get(configuration, 0) + has_completed
    sign = 1 if higher_is_better else -1

    def rank(configuration: ConfigurationT) -> tuple[int, float]:
        values = performances[configuration]
        # An exact sum: equal seeds in another order must not make a better mean.
        mean = sign * math.fsum(values) / len(values)
        return completed[configuration] if most_seeds_first else 0, mean

    return max(performances, key=rank, default=None)
