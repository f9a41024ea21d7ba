"""Ranks of optimizers, and how sure they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import rank_distribution, ranks
from deepobs_analysis.measures.ranking import percentile_interval, resample


def test_the_best_is_first_and_ties_share():
    accuracies = [[0.9, 0.5], [0.8, 0.7], [0.7, 0.5]]
    assert ranks(accuracies, higher_is_better=True).tolist() == [[1, 2.5], [2, 1], [3, 2.5]]
    assert ranks(accuracies, higher_is_better=False).tolist() == [[3, 1.5], [2, 3], [1, 1.5]]
    mixed = ranks(accuracies, higher_is_better=[True, False])
    assert mixed.tolist() == [[1, 1.5], [2, 3], [3, 1.5]]


def test_ranks_are_those_of_scipy():
    losses = np.random.default_rng(0).integers(4, size=(7, 5))
    assert (ranks(losses, higher_is_better=False) == stats.rankdata(losses, axis=0)).all()


def test_whoever_diverged_is_last():
    assert ranks([[math.inf], [2.0], [math.inf]], higher_is_better=False).tolist() == [
        [2.5],
        [1],
        [2.5],
    ]


def distribution(scores, seed=0, higher_is_better=False, **options):
    generator = np.random.default_rng(seed)
    return rank_distribution(
        scores, higher_is_better=higher_is_better, generator=generator, **options
    )


def test_clear_differences_have_certain_ranks():
    result = distribution([[[1, 2], [9, 8]], [[5, 6], [1, 2, 3]], [[7, 8], [4, 5]]])
    assert result.mean_ranks.tolist() == [2, 1.5, 2.5]
    assert result.intervals == ((2, 2), (1.5, 1.5), (2.5, 2.5))
    assert result.shares.tolist() == [[0.5, 0, 0.5], [0.5, 0.5, 0], [0, 0.5, 0.5]]


def test_overlapping_runs_share_ranks_as_theory_gives():
    # Means of two draws from 0 and 2 are 0, 1, 2 with probabilities 1/4, 1/2, 1/4, beside 0.5.
    result = distribution([[[0, 2]], [[0.5]]], samples=20_000)
    assert result.shares == pytest.approx(np.array([[0.25, 0.75], [0.75, 0.25]]), abs=0.015)
    assert result.mean_ranks.tolist() == [2, 1]
    assert result.sampled_mean_ranks.shape == (20_000, 2)
    assert result.sampled_mean_ranks.mean(axis=0) == pytest.approx([1.75, 1.25], abs=0.015)
    assert result.intervals == ((1, 2), (1, 2))


def test_runs_are_drawn_within_their_problem():
    strata = [np.array([0.0, 1.0]), np.array([10.0, 11.0, 12.0])]
    first, second = resample(strata, generator=np.random.default_rng(0), samples=500)
    assert (first.shape, second.shape) == ((500, 2), (500, 3))
    assert set(np.unique(first)) == {0, 1}
    assert set(np.unique(second)) == {10, 11, 12}


def test_problems_are_drawn_independently():
    same = [np.arange(10.0), np.arange(10.0)]
    first, second = resample(same, generator=np.random.default_rng(0), samples=2000)
    assert abs(np.corrcoef(first.mean(axis=1), second.mean(axis=1))[0, 1]) < 0.1


def test_a_percentile_interval_leaves_out_as_much_on_both_sides():
    assert percentile_interval(np.arange(100.0), confidence=0.9) == (5, 94)
    assert percentile_interval(np.array([math.inf, 1.0, 2.0])) == (1.0, math.inf)


def test_the_same_seeds_in_another_order_tie():
    values = np.random.default_rng(3).random(9)
    result = distribution([[values], [values[::-1]]])
    assert result.mean_ranks.tolist() == [1.5, 1.5]


def test_ties_share_their_ranks_equally():
    result = distribution([[[1.0]], [[1.0]], [[2.0]]])
    assert result.shares.tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]


def test_equal_generators_give_equal_distributions():
    scores = np.random.default_rng(5).normal(size=(3, 4, 10)).tolist()
    first, again, other = distribution(scores), distribution(scores), distribution(scores, seed=1)
    assert (first.sampled_mean_ranks == again.sampled_mean_ranks).all()
    assert (first.sampled_mean_ranks != other.sampled_mean_ranks).any()
    assert first.shares.sum(axis=1) == pytest.approx([1, 1, 1])


def test_wrong_input_is_refused():
    with pytest.raises(ArgumentError, match=r"got scores on: 2, 1\. Drop problems"):
        distribution([[[1.0], [2.0]], [[1.0]]])
    with pytest.raises(ArgumentError, match="got scores on: no optimizers"):
        distribution([])
    with pytest.raises(ArgumentError, match="samples must be 1 or more, got 0"):
        distribution([[[1.0]], [[2.0]]], samples=0)
    with pytest.raises(ArgumentError, match="confidence must be above 0 and below 1, got 95"):
        distribution([[[1.0]], [[2.0]]], confidence=95)
    with pytest.raises(ArgumentError, match="The performances must be numbers, got NaN"):
        ranks([[math.nan], [1.0]], higher_is_better=True)
