"""Final and best values, and how they spread over runs."""

from __future__ import annotations

import math

import pytest

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import best, final, mean_and_deviation, quartiles


def test_the_final_value_is_that_after_the_last_epoch():
    assert final([2.3, 0.7, 0.9]) == 0.9
    assert final([2.3]) == 2.3
    assert math.isnan(final([2.3, math.nan]))


def test_the_best_value_may_come_at_any_time():
    assert best([0.1, 0.8, 0.6], higher_is_better=True) == 0.8
    assert best([2.0, 3.0, 4.0], higher_is_better=False) == 2.0


def test_the_best_value_is_never_nan_if_there_is_another():
    assert best([math.nan, 0.4, 0.5], higher_is_better=False) == 0.4
    assert best([2.0, math.inf, math.nan], higher_is_better=False) == 2.0
    assert math.isnan(best([math.nan, math.nan], higher_is_better=True))


def test_the_deviation_is_that_of_the_population():
    # Mean 5; squared distances 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32, by 8 runs 4.
    assert mean_and_deviation([2, 4, 4, 4, 5, 5, 7, 9]) == (5.0, 2.0)
    assert mean_and_deviation([0.3]) == (0.3, 0.0)


def test_quartiles_are_interpolated_linearly():
    # Positions 0.75, 1.5 and 2.25 of 1, 2, 4, 8.
    assert quartiles([8, 1, 4, 2]) == (1.75, 3.0, 5.0)
    assert quartiles([0.3]) == (0.3, 0.3, 0.3)


@pytest.mark.parametrize("measure", [final, mean_and_deviation, quartiles])
@pytest.mark.parametrize("values", [[], 3.0, [[1.0], [2.0]], ["high"], [[1.0], [2.0, 3.0]]])
def test_what_is_no_row_of_numbers_is_refused(measure, values):
    with pytest.raises(ArgumentError, match=r"The (curve|values)"):
        measure(values)


@pytest.mark.parametrize("measure", [mean_and_deviation, quartiles])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_diverged_runs_are_refused_where_they_would_spoil_a_mean(measure, value):
    with pytest.raises(ArgumentError, match=f"got {value} among them. Drop diverged runs"):
        measure([1.0, value])
