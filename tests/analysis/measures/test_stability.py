"""How far runs lie apart, and how many diverged."""

from __future__ import annotations

import math

import pytest

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import relative_spread, share_diverged, spread


def test_the_share_of_diverged_runs_is_counted():
    assert share_diverged([True, False, False, False]) == 0.25
    assert share_diverged([False]) == 0
    with pytest.raises(ArgumentError, match="at least one number, got none"):
        share_diverged([])


def test_the_spread_is_deviation_and_interquartile_range():
    # Deviation as in test_performance; sorted positions 1.75 and 5.25 hold 4 and 5.5.
    assert spread([2, 4, 4, 4, 5, 5, 7, 9]) == (2.0, 1.5)
    assert spread([3.0]) == (0.0, 0.0)


def test_the_relative_spread_is_over_mean_and_median():
    # Mean 5, median 4.5.
    assert relative_spread([2, 4, 4, 4, 5, 5, 7, 9]) == pytest.approx((0.4, 1 / 3))
    assert relative_spread([-2, -4]) == pytest.approx((1 / 3, 1 / 3))


def test_around_zero_there_is_no_relative_spread():
    assert all(math.isnan(value) for value in relative_spread([-1, 1]))
