"""How good runs end up, how much that varies between seeds, and scores that compare problems.

A curve holds a value before training and after every epoch, shape (epochs + 1,). All functions
raise `ArgumentError` for empty input and for values that they do not allow.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.arrays import Floats, exact_mean, finite, floats, ordered

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class MeanAndDeviation(NamedTuple):
    """Mean and population standard deviation, in the unit of the values."""

    mean: float
    deviation: float


class Quartiles(NamedTuple):
    """The values below which a quarter, a half and three quarters of the values lie."""

    lower: float
    median: float
    upper: float


class Spread(NamedTuple):
    """The variation between the runs of a configuration.

    Attributes:
        deviation: Population standard deviation.
        interquartile_range: Width of the range that holds the middle half of the runs.
    """

    deviation: float
    interquartile_range: float


def final(curve: ArrayLike) -> float:
    """The value after the last epoch, whatever it is: NaN and infinities are returned as they are.

    Args:
        curve: Shape (epochs + 1,).
    """
    return float(floats(curve, "curve")[-1])


def best(curve: ArrayLike, *, higher_is_better: bool) -> float:
    """The best value of a curve, including the one before training.

    Args:
        curve: Shape (epochs + 1,).
        higher_is_better: True for accuracies, False for losses.

    Returns:
        The maximum or minimum of the values that are not NaN; NaN if all are.
    """
    # fmax and fmin ignore NaN, which max and min would return.
    values = floats(curve, "curve")
    return float(np.fmax.reduce(values) if higher_is_better else np.fmin.reduce(values))


def mean_and_deviation(values: ArrayLike) -> MeanAndDeviation:
    """Mean and standard deviation over runs.

    The deviation is that of the population, sqrt(sum((value - mean)^2) / runs), as the analyzer of
    the original DeepOBS reports it: for a single run it is 0.

    Args:
        values: One value per run, finite, shape (runs,).

    References:
        Schneider et al., DeepOBS, ICLR 2019, https://arxiv.org/abs/1903.05499.
    """
    # The denominator is that of the original; with runs - 1, published tables differ.
    numbers = finite(values, "values").tolist()
    mean = exact_mean(numbers)
    variance = exact_mean((number - mean) * (number - mean) for number in numbers)
    return MeanAndDeviation(mean, math.sqrt(variance))


def quartiles(values: ArrayLike) -> Quartiles:
    """Lower quartile, median and upper quartile over runs.

    They are interpolated linearly: the quantile q of n sorted values lies at the position
    q * (n - 1), counted from 0.

    Args:
        values: One value per run, finite, shape (runs,).

    References:
        Hyndman and Fan, Sample Quantiles in Statistical Packages, The American Statistician 50
        (1996), definition 7.
    """
    lower, median, upper = np.quantile(finite(values, "values"), [0.25, 0.5, 0.75])
    return Quartiles(float(lower), float(median), float(upper))


def spread(values: ArrayLike) -> Spread:
    """The variation between runs that differ only in their seed, in the unit of the values.

    Args:
        values: One value per run, finite, shape (runs,).
    """
    lower, _, upper = quartiles(values)
    return Spread(mean_and_deviation(values).deviation, upper - lower)


def relative_spread(values: ArrayLike) -> Spread:
    """The spread relative to the level of the runs, to compare it between problems.

    The deviation is divided by the absolute mean (the coefficient of variation), the interquartile
    range by the absolute median.

    Args:
        values: One value per run, finite, shape (runs,).

    Returns:
        Without unit, 0 or more; NaN where the mean or the median is 0.
    """
    absolute = spread(values)
    mean, median = mean_and_deviation(values).mean, quartiles(values).median
    return Spread(
        absolute.deviation / abs(mean) if mean else np.nan,
        absolute.interquartile_range / abs(median) if median else np.nan,
    )


def share_diverged(has_diverged: ArrayLike) -> float:
    """The share of runs that diverged, between 0 and 1.

    Args:
        has_diverged: Whether each run did, shape (runs,).
    """
    return float((finite(has_diverged, "flags of the runs") != 0).mean())


def normalized(
    values: ArrayLike, *, untrained: float, target: float, higher_is_better: bool
) -> Floats:
    """Performances as the fraction of the way from the untrained model to the target.

        (value - untrained) / (target - untrained)

    A score is better the higher it is, for accuracies and for losses. It is not clipped: worse than
    untrained is below 0, better than the target above 1.

    Args:
        values: Performances on one problem, any shape with at least one dimension. Infinitely bad
            ones, of runs that diverged, become -inf.
        untrained: The performance before training, finite.
        target: The performance that scores 1, finite and better than `untrained`.
        higher_is_better: True for accuracies, False for losses.

    Returns:
        Scores of the same shape.
    """
    numbers = ordered(values, "values", dimensions=None)
    if not np.isfinite([untrained, target]).all():
        raise ArgumentError(
            "The untrained performance and the target must be finite, got "
            f"{untrained} and {target}."
        )
    if not (target > untrained if higher_is_better else target < untrained):
        raise ArgumentError(
            f"The target must be better than the untrained performance, got {target} and "
            f"{untrained}, where {'higher' if higher_is_better else 'lower'} is better."
        )
    return np.asarray((numbers - untrained) / (target - untrained))
