"""Performance profiles and scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import (
    benchmark_score,
    geometric_mean_speedup,
    performance_profile,
    performance_ratios,
)

INF = math.inf
TIMES = [
    [10.0, 40.0, INF, 6.0],
    [20.0, 20.0, INF, 6.0],
    [15.0, INF, INF, 60.0],
]
RATIOS = [
    [1.0, 2.0, INF, 1.0],
    [2.0, 1.0, INF, 1.0],
    [1.5, INF, INF, 10.0],
]


def test_ratios_are_over_the_fastest_on_each_problem():
    assert performance_ratios(TIMES).tolist() == RATIOS


def test_whoever_needs_no_time_is_the_fastest():
    assert performance_ratios([[0.0, 0.0], [3.0, 0.0], [INF, 2.0]]).tolist() == [
        [1.0, 1.0],
        [INF, 1.0],
        [INF, INF],
    ]


def test_the_profile_is_the_share_of_problems_within_a_factor():
    profile = performance_profile(RATIOS, [1.0, 1.5, 2.0, 10.0])
    assert profile.tolist() == [
        [0.5, 0.5, 0.75, 0.75],
        [0.5, 0.5, 0.75, 0.75],
        [0.0, 0.25, 0.25, 0.5],
    ]


def test_the_score_is_the_area_under_the_profile():
    # (3 + 2 + 0 + 3) / 4 / 3 twice, (2.5 + 0 + 0 + 0) / 4 / 3.
    assert benchmark_score(RATIOS) == pytest.approx([2 / 3, 2 / 3, 2.5 / 12])
    # Up to 1.5: (0.5 + 0 + 0 + 0.5) / 4 / 0.5 twice, 0.
    assert benchmark_score(RATIOS, largest_tau=1.5) == pytest.approx([0.5, 0.5, 0])


def test_the_score_equals_the_numerical_integral():
    times = np.random.default_rng(0).exponential(size=(4, 9)) + 0.1
    ratios = performance_ratios(times)
    steps = 30_000
    middles = 1 + (np.arange(steps) + 0.5) * 3 / steps
    integral = performance_profile(ratios, middles).mean(axis=1)
    assert benchmark_score(ratios) == pytest.approx(integral, abs=1e-4)


def test_the_fastest_everywhere_scores_one_and_who_reaches_nothing_zero():
    assert benchmark_score(performance_ratios([[1.0, 2.0], [INF, INF]])).tolist() == [1.0, 0.0]


def test_the_speedup_counts_problems_that_need_training():
    # 20 / 10 and 9 / 2; the square root of 9 is 3.
    speedup = geometric_mean_speedup([10.0, 2.0, 0.0], [20.0, 9.0, 5.0])
    assert speedup == (pytest.approx(3), 2, 3, 3, 3)


def test_where_a_target_is_missed_there_is_no_speedup():
    # On the first problem alone, it is 100 times as fast.
    mean, *counts = geometric_mean_speedup([1.0, INF, INF], [100.0, 1.0, INF])
    assert math.isnan(mean)
    assert counts == [1, 1, 2, 3]


def test_wrong_input_is_refused():
    with pytest.raises(ArgumentError, match="dimensions: 2, got the shape \\(2,\\)"):
        performance_ratios([1.0, 2.0])
    with pytest.raises(ArgumentError, match=r"The times must be 0 or more, got -1\.0"):
        performance_ratios([[1.0, -1.0]])
    with pytest.raises(ArgumentError, match="The times must be numbers, got NaN"):
        performance_ratios([[1.0, math.nan]])
    with pytest.raises(ArgumentError, match=r"must be 1 or more, got 0\.5"):
        performance_profile([[0.5]], [1.0])
    with pytest.raises(ArgumentError, match="The taus must be finite"):
        performance_profile([[1.0]], [INF])
    with pytest.raises(ArgumentError, match="largest_tau must be a number above 1"):
        benchmark_score([[1.0]], largest_tau=1)
    with pytest.raises(ArgumentError, match="equally many, got 1 and 2"):
        geometric_mean_speedup([1.0], [1.0, 2.0])
    with pytest.raises(ArgumentError, match="must hold at least one number"):
        benchmark_score(np.empty((2, 0)))
