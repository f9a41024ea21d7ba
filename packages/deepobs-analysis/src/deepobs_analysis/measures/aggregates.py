"""One number for many runs on many problems, for small numbers of runs.

`scores` are one array for each problem, with a score of each run, shape (runs,): problems may
differ in their number of runs. In front of the runs there may be further dimensions, equal for all
problems, over which the measure is repeated: `stratified_bootstrap` puts its samples there.

References:
    Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS
    2021, https://arxiv.org/abs/2108.13264, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.checking import Direction, Floats, finite, ordered, signs

Scores: TypeAlias = Sequence[ArrayLike]
"""An array for each problem, with a score of each run."""


def mean_score(scores: Scores) -> Floats:
    """The mean over problems of the mean over runs: every problem counts the same.

    Args:
        scores: An array for each problem, comparable between problems, finite, shape (..., runs).

    Returns:
        Shape (...): a scalar array for one score of each run.

    Raises:
        ArgumentError: There are no problems or no runs, or a score is not finite.
    """
    return _mean_over_problems(np.asarray(each.mean(-1)) for each in read_scores(scores, finite))


def interquartile_mean(scores: Scores) -> Floats:
    """The mean of the middle half of all scores, whatever their problem.

    Of n scores the floor(n / 4) lowest and as many highest are left out: it is as robust against
    single runs as the median and uses more of them.

    Args:
        scores: An array for each problem, comparable between problems, shape (..., runs). They may
            be infinite for runs that diverged; the mean is too if more than a quarter is.

    Returns:
        Shape (...): a scalar array for one score of each run.

    Raises:
        ArgumentError: There are no problems or no runs, or a score is NaN.
    """
    pooled = np.sort(np.concatenate(read_scores(scores, ordered), axis=-1), axis=-1)
    runs = pooled.shape[-1]
    left_out = runs // 4
    return np.asarray(pooled[..., left_out : runs - left_out].mean(axis=-1))


def probability_of_improvement(
    scores: Scores, reference: Scores, *, higher_is_better: Direction
) -> Floats:
    """How probable it is that a run of an optimizer beats one of another on the same problem.

    On each problem it is the share of pairs of runs in which the optimizer's score is better than
    that of the reference, ties counting one half: the Mann-Whitney U statistic divided by the
    number of pairs. The mean over problems is returned.

    Args:
        scores: Of the optimizer: an array for each problem, shape (..., runs). Infinitely bad for
            runs that diverged.
        reference: Of the reference: an array for each of the same problems, in the same order; it
            may have other numbers of runs.
        higher_is_better: True for accuracies, False for losses; one for all problems or one for
            each.

    Returns:
        Between 0 and 1, shape (...): above 0.5 if the optimizer is better.

    Raises:
        ArgumentError: There are no problems or no runs, or a score is NaN.
    """
    pairs = _pairs(scores, reference, higher_is_better, ordered)
    return _mean_over_problems(_share_won(sign * own, sign * other) for sign, own, other in pairs)


def performance_difference(
    scores: Scores, reference: Scores, *, higher_is_better: Direction
) -> Floats:
    """By how much an optimizer is better: the difference of mean scores, averaged over problems.

    Args:
        scores: Of the optimizer: an array for each problem, comparable between problems, finite,
            shape (..., runs).
        reference: Of the reference: an array for each of the same problems, in the same order.
        higher_is_better: True for accuracies, False for losses; one for all problems or one for
            each.

    Returns:
        In the unit of the scores, shape (...): above 0 if the optimizer is better.

    Raises:
        ArgumentError: There are no problems or no runs, or a score is not finite.
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
        scores: Of the optimizer: an array for each problem, finite, shape (..., runs).
        reference: Of the reference: an array for each of the same problems, in the same order.
        higher_is_better: True for accuracies, False for losses; one for all problems or one for
            each.

    Returns:
        Without unit, shape (...): above 0 if the optimizer is better. Where the runs do not
        differ at all, equal means count as 0 and different ones as infinite.

    Raises:
        ArgumentError: There are no problems, fewer than three runs of both on one, or a score is
            not finite.

    References:
        Cohen, Statistical Power Analysis for the Behavioral Sciences, 2nd edition (1988), section
        2.2.
    """
    pairs = _pairs(scores, reference, higher_is_better, finite)
    return _mean_over_problems(sign * _cohens_d(own, other) for sign, own, other in pairs)


def read_scores(scores: Scores, read: Callable[..., Floats]) -> list[Floats]:
    """Read the scores of each problem.

    Args:
        scores: An array for each problem, shape (..., runs).
        read: What reads one of them: `ordered` or `finite`.

    Raises:
        ArgumentError: There are no problems, or scores cannot be used.
    """
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
    own, other = read_scores(scores, read), read_scores(reference, read)
    if len(own) != len(other):
        raise ArgumentError(
            "Two optimizers are compared on the same problems, got scores of "
            f"{len(own)} and {len(other)}."
        )
    return list(zip(signs(higher_is_better, len(own)).tolist(), own, other, strict=True))


def _share_won(own: Floats, other: Floats) -> Floats:
    """In which share of pairs of runs the first is higher, ties counting one half."""
    first, second = own[..., :, np.newaxis], other[..., np.newaxis, :]
    won, tied = (first > second).mean(axis=(-2, -1)), (first == second).mean(axis=(-2, -1))
    return np.asarray(won + tied / 2)


def _cohens_d(own: Floats, other: Floats) -> Floats:
    freedom = own.shape[-1] + other.shape[-1] - 2
    if freedom < 1:
        raise ArgumentError("A standardised difference needs three runs of both together, got two.")
    squares = own.var(-1) * own.shape[-1] + other.var(-1) * other.shape[-1]
    deviation = np.sqrt(squares / freedom)
    difference = own.mean(-1) - other.mean(-1)
    without_spread = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    np.divide(difference, deviation, out=without_spread, where=deviation > 0)
    return without_spread
