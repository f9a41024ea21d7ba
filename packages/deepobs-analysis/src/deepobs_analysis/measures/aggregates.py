"""One number for many runs on many problems, its confidence interval, and ranks of optimizers.

`scores` hold one array per problem with a score of each run, shape (runs,); problems may differ in
their number of runs. Aggregates accept further leading dimensions, equal for all problems, and are
computed for each of them: `stratified_bootstrap` puts its samples there. All functions raise
`ArgumentError` for missing problems or runs, NaN, and options out of range.

References:
    Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS
    2021, https://arxiv.org/abs/2108.13264, section 4 and its figures of rank distributions.
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    Cohen, Statistical Power Analysis for the Behavioral Sciences, 2nd edition (1988), section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.arrays import Direction, Floats, finite, ordered, signs

Scores: TypeAlias = Sequence[ArrayLike]
"""An array per problem with a score of each run."""


class Interval(NamedTuple):
    """The ends of a confidence interval, in the unit of the measure."""

    low: float
    high: float


@dataclass(frozen=True, eq=False, slots=True)
class RankDistribution:
    """The ranks of optimizers over many bootstrap samples; 1 is the best.

    Attributes:
        mean_ranks: Mean rank over problems of the runs as they are, shape (optimizers,).
        intervals: A confidence interval for each of these.
        sampled_mean_ranks: Mean rank over problems in each sample, shape (samples, optimizers).
        shares: The share of samples and problems in which an optimizer has rank 1, 2, ...: shape
            (optimizers, ranks), each row sums to 1. Tied optimizers share their ranks equally.
    """

    mean_ranks: Floats
    intervals: tuple[Interval, ...]
    sampled_mean_ranks: Floats
    shares: Floats


def mean_score(scores: Scores) -> Floats:
    """The mean over problems of the mean over runs: every problem has the same weight.

    Args:
        scores: Comparable between problems, finite, shape (..., runs) per problem.

    Returns:
        Shape (...).
    """
    return _mean_over_problems(np.asarray(each.mean(-1)) for each in _read(scores, finite))


def interquartile_mean(scores: Scores) -> Floats:
    """The mean of the middle half of all scores, whatever their problem.

    Of n scores the floor(n / 4) lowest and as many highest are dropped: it is as robust against
    single runs as the median and uses more of them.

    Args:
        scores: Comparable between problems, shape (..., runs) per problem. They may be infinite for
            runs that diverged; the mean is too if more than a quarter is.

    Returns:
        Shape (...).
    """
    # Pooled before trimming, as in the paper: trimmed on each problem, a problem on which most
    # runs failed would count as much as one on which they all succeeded.
    pooled = np.sort(np.concatenate(_read(scores, ordered), axis=-1), axis=-1)
    runs = pooled.shape[-1]
    dropped = runs // 4
    return np.asarray(pooled[..., dropped : runs - dropped].mean(axis=-1))


def probability_of_improvement(
    scores: Scores, reference: Scores, *, higher_is_better: Direction
) -> Floats:
    """The probability that a run of an optimizer beats one of another on the same problem.

    On each problem it is the share of pairs of runs in which the optimizer's score is better than
    that of the reference, where ties count one half: the Mann-Whitney U statistic divided by the
    number of pairs. The mean over problems is returned.

    Args:
        scores: Of the optimizer, shape (..., runs) per problem. Infinitely bad for runs that
            diverged.
        reference: Of the reference, on the same problems in the same order; numbers of runs may
            differ.
        higher_is_better: True for accuracies, False for losses; for all problems or per problem.

    Returns:
        Between 0 and 1, shape (...): above 0.5 if the optimizer is better.
    """
    pairs = _pairs(scores, reference, higher_is_better, ordered)
    return _mean_over_problems(_share_won(sign * own, sign * other) for sign, own, other in pairs)


def performance_difference(
    scores: Scores, reference: Scores, *, higher_is_better: Direction
) -> Floats:
    """By how much an optimizer is better: the difference of mean scores, averaged over problems.

    Args:
        scores: Of the optimizer, comparable between problems, finite, shape (..., runs) per
            problem.
        reference: Of the reference, on the same problems in the same order.
        higher_is_better: True for accuracies, False for losses; for all problems or per problem.

    Returns:
        In the unit of the scores, shape (...): above 0 if the optimizer is better.
    """
    pairs = _pairs(scores, reference, higher_is_better, finite)
    return _mean_over_problems(sign * (own.mean(-1) - other.mean(-1)) for sign, own, other in pairs)


def standardized_difference(
    scores: Scores, reference: Scores, *, higher_is_better: Direction
) -> Floats:
    """By how many standard deviations of single runs an optimizer is better: Cohen's d.

    On each problem the difference of the mean scores is divided by the pooled standard deviation,
    sqrt((sum((x - mean x)^2) + sum((y - mean y)^2)) / (runs of x + runs of y - 2)). The mean over
    problems is returned. Scores need not be comparable between problems.

    Args:
        scores: Of the optimizer, finite, shape (..., runs) per problem; at least three runs of
            both optimizers together on each problem.
        reference: Of the reference, on the same problems in the same order.
        higher_is_better: True for accuracies, False for losses; for all problems or per problem.

    Returns:
        Without unit, shape (...): above 0 if the optimizer is better. Where the runs do not differ
        at all, equal means count as 0 and different ones as infinite.
    """
    pairs = _pairs(scores, reference, higher_is_better, finite)
    return _mean_over_problems(sign * _cohens_d(own, other) for sign, own, other in pairs)


def stratified_bootstrap(
    statistic: Callable[..., Floats],
    *groups: Scores,
    generator: np.random.Generator,
    samples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """A confidence interval of a measure, by resampling the seeds within each problem.

    Each sample draws, for each group and problem separately, as many runs as there are, with
    replacement. The interval goes from the (1 - confidence) / 2 quantile of the measure over the
    samples to the one as far from the other end. It speaks of new seeds on the same problems, not
    of new problems. With few runs it is somewhat too narrow, and for one run it has no width.

    For a comparison of two optimizers both are resampled:
    `stratified_bootstrap(partial(probability_of_improvement, higher_is_better=True), x, y, ...)`.

    Args:
        statistic: The measure. It is called once, with a list for each group that holds an array
            per problem, of shape (samples, runs), and returns shape (samples,), as the aggregates
            of this module do.
        groups: The scores of one or more optimizers, shape (runs,) per problem.
        generator: Source of the random numbers; it is advanced. Equal generators give equal
            intervals.
        samples: Number of bootstrap samples.
        confidence: Coverage of the interval, above 0 and below 1.

    Returns:
        The ends of the percentile interval.
    """
    if not groups:
        raise ArgumentError("There must be scores of at least one optimizer, got none.")
    resampled = [resample(scores, generator=generator, samples=samples) for scores in groups]
    # Called once on all samples: a call per sample would take a thousand times as long.
    measured = np.asarray(statistic(*resampled), dtype=np.float64)
    if measured.shape != (samples,):
        raise ArgumentError(
            f"The statistic must return a number for each of {samples} samples, got the shape "
            f"{measured.shape}. Compute it along the last axis of the arrays that it is given."
        )
    return percentile_interval(measured, confidence=confidence)


def resample(
    scores: Scores, *, generator: np.random.Generator, samples: int = 2000
) -> list[Floats]:
    """Draw runs with replacement, on each problem separately: shape (samples, runs) per problem.

    Args:
        scores: Shape (runs,) per problem.
        generator: Source of the random numbers; it is advanced.
        samples: How often to draw as many runs as there are.
    """
    if samples < 1:
        raise ArgumentError(f"The number of samples must be 1 or more, got {samples}.")
    # Pooling the runs of all problems would let a sample miss a problem altogether, and its
    # difficulty would widen the interval as if it were a matter of seeds.
    return [
        ordered(each, "scores of a problem")[
            generator.integers(len(each), size=(samples, len(each)))
        ]
        for each in _read(scores, ordered)
    ]


def percentile_interval(measured: Floats, *, confidence: float = 0.95) -> Interval:
    """The middle of the samples, with as many cut off below as above.

    Args:
        measured: The measure of each sample, shape (samples,). Infinities are allowed.
        confidence: The share of samples inside, above 0 and below 1.
    """
    if not 0 < confidence < 1:
        raise ArgumentError(f"The confidence must be above 0 and below 1, got {confidence}.")
    # np.quantile interpolates, and makes NaN of infinities.
    in_order = np.sort(ordered(measured, "measures of the samples"))
    # Rounded, as 5 % of 100 is 4.9999... in floating-point numbers, and int() cuts off.
    cut_off = int(round((1 - confidence) / 2 * len(in_order), 6))
    return Interval(float(in_order[cut_off]), float(in_order[-1 - cut_off]))


def ranks(performances: ArrayLike, *, higher_is_better: Direction) -> Floats:
    """The rank of each optimizer on each problem.

    Args:
        performances: Such as means over runs, shape (optimizers, problems). Infinitely bad for
            optimizers that diverged.
        higher_is_better: True for accuracies, False for losses; for all problems or per problem.

    Returns:
        From 1, the best, to the number of optimizers, shape (optimizers, problems). Tied optimizers
        all have the mean of the ranks they take up.
    """
    values = ordered(performances, "performances", dimensions=2)
    return _average_ranks(*_better_and_tied(values * signs(higher_is_better, values.shape[1])))


def rank_distribution(
    scores: Sequence[Scores],
    *,
    higher_is_better: Direction,
    generator: np.random.Generator,
    samples: int = 2000,
    confidence: float = 0.95,
) -> RankDistribution:
    """How the ranks of optimizers vary with the seeds.

    Each bootstrap sample draws runs of each optimizer on each problem with replacement, and ranks
    the optimizers on each problem by the mean over the drawn runs.

    Args:
        scores: For each optimizer, the scores of its runs, shape (runs,) per problem. All have the
            same problems in the same order. Infinitely bad for runs that diverged.
        higher_is_better: True for accuracies, False for losses; for all problems or per problem.
        generator: Source of the random numbers; it is advanced.
        samples: Number of bootstrap samples.
        confidence: Of the intervals, above 0 and below 1.
    """
    problems = {len(each) for each in scores}
    if len(problems) != 1:
        counts = ", ".join(str(len(each)) for each in scores) or "no optimizers"
        raise ArgumentError(
            f"Optimizers are ranked on the same problems, got scores on: {counts}. Drop problems "
            "that not all optimizers were run on."
        )
    own_means = np.stack([_means(_read(each, ordered)) for each in scores])
    # Each optimizer is resampled separately: its seeds are not those of the others, so a joint draw
    # of seeds would pair runs that have nothing in common.
    resampled = [resample(each, generator=generator, samples=samples) for each in scores]
    sampled_means = np.stack([_means(each) for each in resampled], axis=1)
    better, tied = _better_and_tied(sampled_means * signs(higher_is_better, own_means.shape[1]))
    mean_ranks = _average_ranks(better, tied).mean(axis=-1)
    return RankDistribution(
        mean_ranks=ranks(own_means, higher_is_better=higher_is_better).mean(axis=-1),
        intervals=tuple(percentile_interval(each, confidence=confidence) for each in mean_ranks.T),
        sampled_mean_ranks=mean_ranks,
        shares=_shares(better, tied),
    )


def _read(scores: Scores, read: Callable[..., Floats]) -> list[Floats]:
    """Check the scores of each problem with `ordered` or `finite`."""
    if len(scores) == 0:
        raise ArgumentError("There must be scores of at least one problem, got none.")
    return [
        read(each, f"scores of problem {number}", dimensions=None)
        for number, each in enumerate(scores, start=1)
    ]


def _mean_over_problems(measures: Iterable[Floats]) -> Floats:
    return np.asarray(np.mean(list(measures), axis=0))


def _pairs(
    scores: Scores, reference: Scores, higher_is_better: Direction, read: Callable[..., Floats]
) -> list[tuple[float, Floats, Floats]]:
    """For each problem: the sign that makes higher better, and the scores of both."""
    own, other = _read(scores, read), _read(reference, read)
    if len(own) != len(other):
        raise ArgumentError(
            "Two optimizers are compared on the same problems, got scores of "
            f"{len(own)} and {len(other)}."
        )
    return list(zip(signs(higher_is_better, len(own)).tolist(), own, other, strict=True))


def _share_won(own: Floats, other: Floats) -> Floats:
    """The share of pairs of runs in which the first is higher; ties count one half."""
    first, second = own[..., :, np.newaxis], other[..., np.newaxis, :]
    won, tied = (first > second).mean(axis=(-2, -1)), (first == second).mean(axis=(-2, -1))
    return np.asarray(won + tied / 2)


def _cohens_d(own: Floats, other: Floats) -> Floats:
    # Two means were estimated from these runs, which takes a degree of freedom each.
    freedom = own.shape[-1] + other.shape[-1] - 2
    if freedom < 1:
        raise ArgumentError("A standardized difference needs three runs of both together, got two.")
    squares = own.var(-1) * own.shape[-1] + other.var(-1) * other.shape[-1]
    deviation = np.sqrt(squares / freedom)
    difference = own.mean(-1) - other.mean(-1)
    # Without any spread the quotient is 0 / 0 or infinite: its limit is set before dividing.
    without_spread = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    np.divide(difference, deviation, out=without_spread, where=deviation > 0)
    return without_spread


def _means(scores: list[Floats]) -> Floats:
    """Means over runs, shape (..., problems)."""
    return np.stack([each.mean(axis=-1) for each in scores], axis=-1)


def _better_and_tied(goodness: Floats) -> tuple[Floats, Floats]:
    """How many optimizers are better than each, and how many equal to it, itself included.

    Args:
        goodness: Higher is better, shape (..., optimizers, problems), as both returned arrays.
    """
    # Compared pairwise rather than sorted: argsort would give tied optimizers different ranks, by
    # their order in the results.
    own, others = goodness[..., :, np.newaxis, :], goodness[..., np.newaxis, :, :]
    return (
        (others > own).sum(axis=-2, dtype=np.float64),
        (others == own).sum(axis=-2, dtype=np.float64),
    )


def _average_ranks(better: Floats, tied: Floats) -> Floats:
    return better + (tied + 1) / 2


def _shares(better: Floats, tied: Floats) -> Floats:
    """The share of samples and problems at each rank, from (samples, optimizers, problems)."""
    at_ranks = [
        np.where((better < rank) & (rank <= better + tied), 1 / tied, 0.0).mean(axis=(0, 2))
        for rank in range(1, better.shape[1] + 1)
    ]
    return np.stack(at_ranks, axis=-1)
