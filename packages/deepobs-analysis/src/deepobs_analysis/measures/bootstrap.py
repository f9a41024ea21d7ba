"""Intervals that say how much a measure depends on which seeds happened to be run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.aggregates import read_scores
from deepobs_analysis.measures.checking import Floats, ordered

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_analysis.measures.aggregates import Scores


class Interval(NamedTuple):
    """The ends of a confidence interval, in the unit of the measure."""

    low: float
    high: float


def stratified_bootstrap(
    statistic: Callable[..., Floats],
    *groups: Scores,
    generator: np.random.Generator,
    samples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """A confidence interval of a measure, by resampling the seeds within each problem.

    Each sample draws, for each group and each problem on its own, as many runs as there are, with
    replacement. The interval goes from the (1 - confidence) / 2 quantile of the measure over the
    samples to the one as far from the other end. It speaks of new seeds on the same problems, not
    of new problems. With few runs it is somewhat too narrow, and of one run it has no width.

    For a comparison of two optimizers both are resampled:
    `stratified_bootstrap(partial(probability_of_improvement, higher_is_better=True), x, y, ...)`.

    Args:
        statistic: The measure. It is called once, with a list for each group that holds an array
            for each problem, of shape (samples, runs), and returns shape (samples,). The measures
            of `aggregates` do.
        groups: The scores of one or more optimizers: an array for each problem, shape (runs,).
        generator: Where the random numbers come from; it is advanced. Equal generators give equal
            intervals.
        samples: How many times to resample.
        confidence: How probable it should be that the interval holds the true value, above 0 and
            below 1.

    Returns:
        The ends of the percentile interval.

    Raises:
        ArgumentError: There is no group, problem or run, a score is NaN, an option is out of
            range, or the measure does not return a number for each sample.

    References:
        Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice,
        NeurIPS 2021, https://arxiv.org/abs/2108.13264, section 4.
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    if not groups:
        raise ArgumentError("There must be scores of at least one optimizer, got none.")
    resampled = [resample(scores, generator=generator, samples=samples) for scores in groups]
    measured = np.asarray(statistic(*resampled), dtype=np.float64)
    if measured.shape != (samples,):
        raise ArgumentError(
            f"The statistic must return a number for each of {samples} samples, got the shape "
            f"{measured.shape}. Let it work along the last axis of the arrays that it is given."
        )
    return percentile_interval(measured, confidence=confidence)


def resample(
    scores: Scores, *, generator: np.random.Generator, samples: int = 2000
) -> list[Floats]:
    """Draw runs with replacement, on each problem on its own.

    Args:
        scores: An array for each problem, shape (runs,).
        generator: Where the random numbers come from; it is advanced.
        samples: How often to draw as many runs as there are.

    Returns:
        An array for each problem, shape (samples, runs).

    Raises:
        ArgumentError: There is no problem or run, a score is NaN, or there are no samples.
    """
    if samples < 1:
        raise ArgumentError(f"The number of samples must be 1 or more, got {samples}.")
    return [
        ordered(each, "scores of a problem")[
            generator.integers(len(each), size=(samples, len(each)))
        ]
        for each in read_scores(scores, ordered)
    ]


def percentile_interval(measured: Floats, *, confidence: float = 0.95) -> Interval:
    """The range that holds the middle of the samples, with as many left out below as above.

    Args:
        measured: The measure of each sample, shape (samples,). Infinities are allowed.
        confidence: The share of samples that it holds, above 0 and below 1.

    Raises:
        ArgumentError: There are no samples, some are NaN, or the confidence is out of range.
    """
    if not 0 < confidence < 1:
        raise ArgumentError(f"The confidence must be above 0 and below 1, got {confidence}.")
    # Interpolating between quantiles, as numpy does, makes NaN of infinities.
    in_order = np.sort(ordered(measured, "measures of the samples"))
    left_out = int(round((1 - confidence) / 2 * len(in_order), 6))  # 5, not 4.9999..., of 100
    return Interval(float(in_order[left_out]), float(in_order[-1 - left_out]))
