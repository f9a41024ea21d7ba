"""One number for many runs on many problems.

`scores` hold one array per problem with a score of each run, shape (runs,); problems may differ in
their number of runs. Aggregates accept further leading dimensions, equal for all problems, and are
computed for each of them: `confidence_interval` leaves out a run in each. All functions raise
`ArgumentError` for missing problems or runs, NaN, and options out of range.

References:
    Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS
    2021, https://arxiv.org/abs/2108.13264, section 4.
    Cohen, Statistical Power Analysis for the Behavioral Sciences, 2nd edition (1988), section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.arrays import (
    Direction,
    Floats,
    exact_means,
    finite,
    ordered,
    signs,
)

Scores: TypeAlias = Sequence[ArrayLike]
"""An array per problem with a score of each run."""


def mean_score(scores: Scores) -> Floats:
    """The mean over problems of the mean over runs: every problem has the same weight.

    Args:
        scores: Comparable between problems, finite, shape (..., runs) per problem.

    Returns:
        Shape (...).
    """
    return _mean_over_problems(map(exact_means, read_scores(scores, finite)))


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
    pooled = np.sort(np.concatenate(read_scores(scores, ordered), axis=-1), axis=-1)
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
    of_problems = pairs(scores, reference, higher_is_better, ordered)
    return _mean_over_problems(
        share_won(sign * own, sign * other) for sign, own, other in of_problems
    )


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
    of_problems = pairs(scores, reference, higher_is_better, finite)
    return _mean_over_problems(
        sign * (exact_means(own) - exact_means(other)) for sign, own, other in of_problems
    )


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
    of_problems = pairs(scores, reference, higher_is_better, finite)
    return _mean_over_problems(sign * _cohens_d(own, other) for sign, own, other in of_problems)


def read_scores(scores: Scores, read: Callable[..., Floats]) -> list[Floats]:
    """Check the scores of each problem with `ordered` or `finite`."""
    if len(scores) == 0:
        raise ArgumentError("There must be scores of at least one problem, got none.")
    return [
        read(each, f"scores of problem {number}", dimensions=None)
        for number, each in enumerate(scores, start=1)
    ]


def _mean_over_problems(measures: Iterable[Floats]) -> Floats:
    return np.asarray(np.mean(list(measures), axis=0))


def pairs(
    scores: Scores, reference: Scores, higher_is_better: Direction, read: Callable[..., Floats]
) -> list[tuple[float, Floats, Floats]]:
    """For each problem: the sign that makes higher better, and the scores of both."""
    own, other = read_scores(scores, read), read_scores(reference, read)
    if len(own) != len(other):
        raise ArgumentError(
            "Two optimizers are compared on the same problems, got scores of "
            f"{len(own)} and {len(other)}."
        )
    return list(zip(signs(higher_is_better, len(own)).tolist(), own, other, strict=True))


def share_won(own: Floats, other: Floats) -> Floats:
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
