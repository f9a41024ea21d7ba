"""How well a model ends up, and how much that differs between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs_analysis.measures.checking import finite, floats

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


def final(curve: ArrayLike) -> float:
    """The value after the last epoch.

    Args:
        curve: A value before training and after every epoch, shape (epochs + 1,).

    Returns:
        The last value as it is, NaN and infinities too.

    Raises:
        ArgumentError: The curve is empty.
    """
    return float(floats(curve, "curve")[-1])


def best(curve: ArrayLike, *, higher_is_better: bool) -> float:
    """The best value at any time, that before training among them.

    Args:
        curve: A value before training and after every epoch, shape (epochs + 1,).
        higher_is_better: True for accuracies, False for losses.

    Returns:
        The maximum or minimum of the values that are not NaN; NaN if all are.

    Raises:
        ArgumentError: The curve is empty.
    """
    values = floats(curve, "curve")
    return float(np.fmax.reduce(values) if higher_is_better else np.fmin.reduce(values))


def mean_and_deviation(values: ArrayLike) -> MeanAndDeviation:
    """Mean and standard deviation over runs.

    The deviation is that of the population, sqrt(sum((value - mean)^2) / runs), as the analyzer of
    the original DeepOBS reports it: of one run it is 0.

    Args:
        values: One of each run, finite, shape (runs,).

    Raises:
        ArgumentError: There are none, or some are not finite.

    References:
        Schneider et al., DeepOBS, ICLR 2019, https://arxiv.org/abs/1903.05499.
    """
    numbers = finite(values, "values")
    return MeanAndDeviation(float(numbers.mean()), float(numbers.std()))


def quartiles(values: ArrayLike) -> Quartiles:
    """Lower quartile, median and upper quartile over runs.

    Between two runs they are interpolated linearly: the quantile q of n sorted values lies at the
    position q * (n - 1), counted from 0.

    Args:
        values: One of each run, finite, shape (runs,).

    Raises:
        ArgumentError: There are none, or some are not finite.

    References:
        Hyndman and Fan, Sample Quantiles in Statistical Packages, The American Statistician 50
        (1996), definition 7.
    """
    lower, median, upper = np.quantile(finite(values, "values"), [0.25, 0.5, 0.75])
    return Quartiles(float(lower), float(median), float(upper))
