"""Ranks of optimizers, and how they vary with the seeds.

References:
    Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS
    2021, https://arxiv.org/abs/2108.13264, its figures of rank distributions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.aggregates import read_scores
from deepobs_analysis.measures.arrays import exact_mean, ordered, signs
from deepobs_analysis.measures.uncertainty import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from deepobs_analysis.measures.aggregates import Scores
    from deepobs_analysis.measures.arrays import Direction, Floats


@dataclass(frozen=True, eq=False, slots=True)
class RankDistribution:
    """The ranks of optimizers over many bootstrap samples; 1 is the best.

    Attributes:
        mean_ranks: Mean rank over problems of the runs as they are, shape (optimizers,).
        intervals: The middle of the mean ranks of the samples, for each optimizer: how much they
            vary, not a confidence interval. It has no width where all have one run.
        sampled_mean_ranks: Mean rank over problems in each sample, shape (samples, optimizers).
        shares: The share of samples and problems in which an optimizer has rank 1, 2, ...: shape
            (optimizers, ranks), each row sums to 1. Tied optimizers share their ranks equally.
    """

    mean_ranks: Floats
    intervals: tuple[Interval, ...]
    sampled_mean_ranks: Floats
    shares: Floats


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
        for each in read_scores(scores, ordered)
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
        confidence: The share of samples in the intervals, above 0 and below 1.
    """
    problems = {len(each) for each in scores}
    if len(problems) != 1:
        counts = ", ".join(str(len(each)) for each in scores) or "no optimizers"
        raise ArgumentError(
            f"Optimizers are ranked on the same problems, got scores on: {counts}. Drop problems "
            "that not all optimizers were run on."
        )
    own_means = np.array(
        [[exact_mean(one.tolist()) for one in read_scores(each, ordered)] for each in scores]
    )
    # Each optimizer is resampled separately: its seeds are not those of the others, so a joint draw
    # of seeds would pair runs that have nothing in common.
    resampled = [resample(each, generator=generator, samples=samples) for each in scores]
    sampled_means = np.stack([_sampled_means(each) for each in resampled], axis=1)
    better, tied = _better_and_tied(sampled_means * signs(higher_is_better, own_means.shape[1]))
    mean_ranks = _average_ranks(better, tied).mean(axis=-1)
    return RankDistribution(
        mean_ranks=ranks(own_means, higher_is_better=higher_is_better).mean(axis=-1),
        intervals=tuple(percentile_interval(each, confidence=confidence) for each in mean_ranks.T),
        sampled_mean_ranks=mean_ranks,
        shares=_shares(better, tied),
    )


def _sampled_means(scores: list[Floats]) -> Floats:
    """Means over runs, shape (samples, problems)."""
    # Sorted, as sums of the same runs in another order would break ties.
    return np.stack([np.sort(each, axis=-1).mean(axis=-1) for each in scores], axis=-1)


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
