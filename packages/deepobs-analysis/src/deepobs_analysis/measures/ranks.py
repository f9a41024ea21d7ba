"""Which optimizer is best, second, ... on how many problems, and how sure that is.

References:
    Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS
    2021, https://arxiv.org/abs/2108.13264, section 4 and its figures of rank distributions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.aggregates import Scores, read_scores
from deepobs_analysis.measures.bootstrap import Interval, percentile_interval, resample
from deepobs_analysis.measures.checking import Direction, Floats, ordered, signs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False, slots=True)
class RankDistribution:
    """The ranks of some optimizers over many bootstrap samples; 1 is the best.

    Attributes:
        mean_ranks: Of the runs as they are: mean over problems, shape (optimizers,).
        intervals: A confidence interval of each of these.
        sampled_mean_ranks: The mean rank over problems in each sample, shape (samples, optimizers).
        shares: In which share of samples and problems an optimizer has rank 1, 2, ...: shape
            (optimizers, ranks), each row sums to 1. Optimizers that tie share their ranks equally.
    """

    mean_ranks: Floats
    intervals: tuple[Interval, ...]
    sampled_mean_ranks: Floats
    shares: Floats


def ranks(performances: ArrayLike, *, higher_is_better: Direction) -> Floats:
    """The rank of each optimizer on each problem.

    Args:
        performances: Of each optimizer on each problem, such as the mean over its runs, shape
            (optimizers, problems). Infinitely bad for those that diverged.
        higher_is_better: True for accuracies, False for losses; one for all problems or one for
            each.

    Returns:
        From 1, the best, to the number of optimizers, shape (optimizers, problems). Those that tie
        all have the mean of the ranks they take up.

    Raises:
        ArgumentError: There are none, or some are NaN.
    """
    values = ordered(performances, "performances", dimensions=2)
    better, tied = _standings(values * signs(higher_is_better, values.shape[1]))
    return _average_ranks(better, tied)


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
    the optimizers on each problem by the mean over the runs that were drawn.

    Args:
        scores: For each optimizer an array for each problem with a score of each run, shape
            (runs,). All have the same problems in the same order. Infinitely bad for runs that
            diverged.
        higher_is_better: True for accuracies, False for losses; one for all problems or one for
            each.
        generator: Where the random numbers come from; it is advanced.
        samples: How many times to resample.
        confidence: Of the intervals, above 0 and below 1.

    Raises:
        ArgumentError: There are no optimizers, problems or runs, the problems differ in number, a
            score is NaN, or an option is out of range.
    """
    own_means = np.stack([_means(read_scores(each, ordered)) for each in _complete(scores)])
    resampled = [resample(each, generator=generator, samples=samples) for each in scores]
    sign = signs(higher_is_better, own_means.shape[1])
    sampled_means = np.stack([_means(each) for each in resampled], axis=1)
    better, tied = _standings(sampled_means * sign)
    mean_ranks = _average_ranks(better, tied).mean(axis=-1)
    return RankDistribution(
        mean_ranks=ranks(own_means, higher_is_better=higher_is_better).mean(axis=-1),
        intervals=tuple(percentile_interval(each, confidence=confidence) for each in mean_ranks.T),
        sampled_mean_ranks=mean_ranks,
        shares=_shares(better, tied),
    )


def _complete(scores: Sequence[Scores]) -> Sequence[Scores]:
    problems = {len(each) for each in scores}
    if len(problems) != 1:
        counts = ", ".join(str(len(each)) for each in scores) or "no optimizers"
        raise ArgumentError(
            f"Optimizers are ranked on the same problems, got scores on: {counts}. Leave out "
            "problems that not all were run on."
        )
    return scores


def _means(scores: list[Floats]) -> Floats:
    """Means over runs, shape (..., problems)."""
    return np.stack([each.mean(axis=-1) for each in scores], axis=-1)


def _standings(goodness: Floats) -> tuple[Floats, Floats]:
    """How many optimizers are better than each, and how many equal to it, itself included.

    Args:
        goodness: Higher is better, shape (..., optimizers, problems).

    Returns:
        Both of the shape of `goodness`.
    """
    own, others = goodness[..., :, np.newaxis, :], goodness[..., np.newaxis, :, :]
    return (
        (others > own).sum(axis=-2, dtype=np.float64),
        (others == own).sum(axis=-2, dtype=np.float64),
    )


def _average_ranks(better: Floats, tied: Floats) -> Floats:
    return better + (tied + 1) / 2


def _shares(better: Floats, tied: Floats) -> Floats:
    """The share of samples and problems at each rank, from standings of (samples, O, problems)."""
    at_ranks = [
        np.where((better < rank) & (rank <= better + tied), 1 / tied, 0.0).mean(axis=(0, 2))
        for rank in range(1, better.shape[1] + 1)
    ]
    return np.stack(at_ranks, axis=-1)
