"""The expected best of a number of trials."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import expected_best_curve, expected_best_of


def test_the_best_of_two_of_three_is_the_mean_over_the_three_pairs():
    # Pairs of 1, 2, 4: the largest are 2, 4, 4; the smallest 1, 1, 2.
    assert expected_best_of([4, 1, 2], 2, higher_is_better=True) == pytest.approx(10 / 3)
    assert expected_best_of([4, 1, 2], 2, higher_is_better=False) == pytest.approx(4 / 3)


@pytest.mark.parametrize(("higher_is_better", "pick"), [(True, max), (False, min)])
def test_it_equals_the_mean_over_all_subsets(higher_is_better, pick):
    values = [0.3, 0.9, 0.9, -0.2, 0.5, 0.1, 0.7]
    for trials in range(1, 8):
        subsets = [pick(subset) for subset in combinations(values, trials)]
        expected = expected_best_of(values, trials, higher_is_better=higher_is_better)
        assert expected == pytest.approx(sum(subsets) / len(subsets))


def test_it_is_unbiased():
    """Over all equally probable samples its mean is the expected best of independent trials."""
    outcomes, trials = (0.0, 0.5, 2.0), 3
    truth = np.mean([max(drawn) for drawn in product(outcomes, repeat=trials)])
    estimates = [
        expected_best_of(sample, trials, higher_is_better=True)
        for sample in product(outcomes, repeat=5)
    ]
    assert np.mean(estimates) == pytest.approx(truth)


def test_the_curve_goes_from_the_mean_to_the_best():
    curve = expected_best_curve([4, 1, 2], higher_is_better=False)
    assert curve == pytest.approx([7 / 3, 4 / 3, 1])


def test_many_trials_neither_overflow_nor_lose_digits():
    values = np.arange(1, 10_001)
    # The expected largest of k of the numbers 1..n is k (n + 1) / (k + 1).
    for trials in (1, 2, 500, 9_999, 10_000):
        expected = trials * 10_001 / (trials + 1)
        estimate = expected_best_of(values, trials, higher_is_better=True)
        assert estimate == pytest.approx(expected, rel=1e-12)


def test_infinitely_bad_trials_count_until_one_must_be_better():
    curve = expected_best_curve([math.inf, 2.0, math.inf, 1.0], higher_is_better=False)
    # Of the four triples one has both that diverged and the 2; the others have the 1.
    assert curve == pytest.approx([math.inf, math.inf, (2 + 3 * 1) / 4, 1.0])
    assert expected_best_of([-math.inf, 1.0], 1, higher_is_better=True) == -math.inf


def test_a_single_trial_is_its_own_best():
    assert expected_best_curve([0.7], higher_is_better=True) == pytest.approx([0.7])


@pytest.mark.parametrize("trials", [0, 4, -1])
def test_more_trials_than_were_observed_are_refused(trials):
    with pytest.raises(ArgumentError, match=f"between 1 and the number of values, 3, got {trials}"):
        expected_best_of([1, 2, 3], trials, higher_is_better=True)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [1.0, -math.inf]])
def test_values_that_cannot_be_losses_are_refused(values):
    with pytest.raises(ArgumentError, match="The values must"):
        expected_best_curve(values, higher_is_better=False)
