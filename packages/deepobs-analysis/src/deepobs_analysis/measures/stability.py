"""How reliably an optimizer gives the same result, whatever the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs_analysis.measures.checking import finite
from deepobs_analysis.measures.performance import mean_and_deviation, quartiles

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Spread(NamedTuple):
    """How far the runs of a setting lie apart.

    Attributes:
        deviation: Population standard deviation.
        interquartile_range: Width of the range that holds the middle half of the runs.
    """

    deviation: float
    interquartile_range: float


def share_diverged(has_diverged: ArrayLike) -> float:
    """The share of runs that diverged.

    Args:
        has_diverged: Whether each run did, shape (runs,).

    Returns:
        Between 0 and 1.

    Raises:
        ArgumentError: There are no runs.
    """
    return float((finite(has_diverged, "flags of the runs") != 0).mean())


def spread(values: ArrayLike) -> Spread:
    """How far runs that differ only in their seed lie apart.

    Args:
        values: One of each run, finite, shape (runs,).

    Returns:
        In the unit of the values, 0 or more.

    Raises:
        ArgumentError: There are none, or some are not finite.
    """
    lower, _, upper = quartiles(values)
    return Spread(mean_and_deviation(values).deviation, upper - lower)


def relative_spread(values: ArrayLike) -> Spread:
    """The spread as a share of where the runs lie, to compare it between problems.

    The deviation is divided by the absolute mean (the coefficient of variation), the interquartile
    range by the absolute median.

    Args:
        values: One of each run, finite, shape (runs,).

    Returns:
        Without unit, 0 or more; NaN where the mean or the median is 0.

    Raises:
        ArgumentError: There are none, or some are not finite.
    """
    absolute = spread(values)
    mean, median = mean_and_deviation(values).mean, quartiles(values).median
    return Spread(
        absolute.deviation / abs(mean) if mean else np.nan,
        absolute.interquartile_range / abs(median) if median else np.nan,
    )
