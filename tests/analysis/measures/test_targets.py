"""Targets by a rule."""

from __future__ import annotations

import math

import pytest

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import target_performance

ACCURACIES = [[0.5, 0.99, 0.6, 0.55], [0.7, 0.8, 0.9], [0.1]]


def test_the_target_is_the_best_median():
    # Medians 0.575, 0.8 and 0.1: the lucky run of the first does not count.
    assert target_performance(ACCURACIES, higher_is_better=True) == 0.8
    assert target_performance([[2, 1, 4, 5], [9, 2.5]], higher_is_better=False) == 3


def test_the_tolerance_makes_it_easier():
    relaxed = target_performance(ACCURACIES, higher_is_better=True, tolerance=0.05)
    assert relaxed == pytest.approx(0.76)
    assert target_performance([[2.0]], higher_is_better=False, tolerance=0.05) == 2.1
    assert target_performance([[-2.0]], higher_is_better=False, tolerance=0.05) == -1.9


def test_diverged_runs_are_the_worst():
    assert target_performance([[1, math.inf, 2]], higher_is_better=False) == 2
    assert target_performance([[1, math.inf], [7.0]], higher_is_better=False) == 7


def test_wrong_input_is_refused():
    with pytest.raises(ArgumentError, match="at least one reference optimizer, got none"):
        target_performance([], higher_is_better=True)
    with pytest.raises(ArgumentError, match=r"Half of the runs or more .* diverged"):
        target_performance([[math.inf, 1]], higher_is_better=False)
    with pytest.raises(ArgumentError, match="The performances must be numbers, got NaN"):
        target_performance([[math.nan, 1]], higher_is_better=False)
    with pytest.raises(
        ArgumentError, match=r"The tolerance must be 0 or more, such as 0\.1, got -1"
    ):
        target_performance([[1]], higher_is_better=False, tolerance=-1)
