"""One number for many runs on many problems."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import (
    interquartile_mean,
    mean_score,
    performance_difference,
    probability_of_improvement,
    standardized_difference,
)

COMPARISONS = [probability_of_improvement, performance_difference, standardized_difference]


def test_every_problem_counts_the_same_in_the_mean_score():
    assert mean_score([[1, 2, 3], [6]]) == 4
    with pytest.raises(ArgumentError, match="scores of problem 1 must be finite, got inf"):
        mean_score([[math.inf]])


def test_the_interquartile_mean_is_that_of_the_middle_half():
    # Of 0, 1, 2, 3, 4, 5, 100 and 200 the middle four are left.
    assert interquartile_mean([[100, 0, 2], [1, 5, 4, 3, 200]]) == 3.5
    # Of five scores one is cut from each end.
    assert interquartile_mean([[0, 1, 2, 6, 9]]) == 3
    assert interquartile_mean([[1, 2, 6]]) == 3


def test_the_interquartile_mean_is_the_trimmed_mean():
    scores = np.random.default_rng(0).normal(size=(7, 10))
    expected = stats.trim_mean(scores, 0.25, axis=None)
    assert interquartile_mean(list(scores)) == pytest.approx(expected)


def test_the_interquartile_mean_bears_a_quarter_of_diverged_runs():
    assert interquartile_mean([[1, 2], [3, -math.inf]]) == 1.5
    assert interquartile_mean([[1, -math.inf], [3, -math.inf]]) == -math.inf


def test_the_probability_of_improvement_counts_pairs():
    # First problem: of 2 x 3 pairs 1 > 0, 4 > 0, 4 > 3, and 1 = 1 counts half. Second: none.
    x, y = [[1, 4], [0.0]], [[0, 1, 3], [0.5, 0.5]]
    first = (1 + 1 + 1 + 0.5 + 1) / 6
    assert probability_of_improvement(x, y, higher_is_better=True) == pytest.approx(first / 2)
    lower = probability_of_improvement(x, y, higher_is_better=False)
    assert lower == pytest.approx((1 - first + 1) / 2)


def test_the_probability_of_improvement_is_that_of_mann_and_whitney():
    x = np.random.default_rng(0).integers(5, size=12)
    y = np.random.default_rng(1).integers(6, size=9)
    expected = stats.mannwhitneyu(x, y).statistic / (12 * 9)
    assert probability_of_improvement([x], [y], higher_is_better=True) == pytest.approx(expected)


def test_equal_runs_are_as_good_as_each_other():
    scores = [[1.0, 2.0, math.inf], [5.0]]
    assert probability_of_improvement(scores, scores, higher_is_better=False) == 0.5


def test_diverged_runs_lose():
    assert probability_of_improvement([[math.inf, 2]], [[1.0]], higher_is_better=False) == 0
    assert probability_of_improvement([[0.5]], [[math.inf, 2]], higher_is_better=False) == 1


def test_every_problem_may_have_a_direction_of_its_own():
    accuracy_and_loss, worse = [[0.9], [0.1]], [[0.8], [0.3]]
    better = probability_of_improvement(accuracy_and_loss, worse, higher_is_better=[True, False])
    assert better == 1
    assert performance_difference(
        accuracy_and_loss, worse, higher_is_better=[True, False]
    ) == pytest.approx(0.15)
    with pytest.raises(ArgumentError, match="one for each of 2 problems, got 1"):
        performance_difference(accuracy_and_loss, worse, higher_is_better=[True])


def test_the_difference_is_between_means():
    # Means 2 and 5 beside 1 and 6.
    x, y = [[1, 3], [5.0]], [[1.0], [4, 6, 8]]
    assert performance_difference(x, y, higher_is_better=True) == 0
    assert performance_difference(x, [[0.0], [1.0]], higher_is_better=True) == 3
    assert performance_difference(x, [[0.0], [1.0]], higher_is_better=False) == -3


def test_the_standardized_difference_is_in_deviations():
    # Means 4 and 2, squares (4 + 0 + 4) and (1 + 1) by 3 + 2 - 2 runs.
    d = standardized_difference([[2, 4, 6]], [[1, 3]], higher_is_better=True)
    assert d == pytest.approx(2 / math.sqrt(10 / 3))


def test_runs_that_do_not_differ_are_equal_or_infinitely_apart():
    assert standardized_difference([[1, 1]], [[1, 1]], higher_is_better=True) == 0
    assert standardized_difference([[1, 1]], [[2, 2]], higher_is_better=False) == math.inf


@pytest.mark.parametrize("measure", COMPARISONS)
def test_measures_are_repeated_over_leading_dimensions(measure):
    generator = np.random.default_rng(0)
    x = [generator.normal(size=(6, 3)), generator.normal(size=(6, 4))]
    y = [generator.normal(size=(6, 5)), generator.normal(size=(6, 2))]
    together = measure(x, y, higher_is_better=True)
    one_by_one = [
        measure([each[i] for each in x], [each[i] for each in y], higher_is_better=True)
        for i in range(6)
    ]
    assert together == pytest.approx(np.array(one_by_one))


@pytest.mark.parametrize("measure", COMPARISONS)
def test_scores_that_cannot_be_compared_are_refused(measure):
    with pytest.raises(ArgumentError, match="got scores of 1 and 2"):
        measure([[1.0, 2.0]], [[1.0], [2.0]], higher_is_better=True)
    with pytest.raises(ArgumentError, match="scores of at least one problem, got none"):
        measure([], [], higher_is_better=True)
    with pytest.raises(ArgumentError, match="scores of problem 2 must hold at least one"):
        measure([[1.0], []], [[1.0], [2.0]], higher_is_better=True)
    with pytest.raises(ArgumentError, match=r"scores of problem 1 must be .* got (nan|NaN)"):
        measure([[math.nan]], [[1.0]], higher_is_better=True)


def test_two_runs_have_no_deviation_to_measure_by():
    with pytest.raises(ArgumentError, match="needs three runs of both together, got two"):
        standardized_difference([[1.0]], [[2.0]], higher_is_better=True)
