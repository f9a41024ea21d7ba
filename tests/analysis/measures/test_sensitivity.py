"""How much the performance depends on hyperparameters."""

from __future__ import annotations

import math

import pytest

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import decades_within, gain_from_tuning_each_problem, share_within

RATES = [0.001, 0.01, 0.1, 1.0, 10.0]


def test_the_width_spans_the_neighbors_of_the_best_that_are_close_to_it():
    # The best loss is 1; up to 1.1 is close to it.
    losses = [1.05, 1.09, 1.0, 1.2, 1.0]
    assert decades_within(RATES, losses, higher_is_better=False) == pytest.approx(2)
    assert decades_within(RATES[::-1], losses[::-1], higher_is_better=False) == pytest.approx(2)


def test_the_tolerance_is_a_share_of_the_best():
    accuracies = [0.5, 0.64, 0.8, 0.72, 0.1]
    assert decades_within(RATES, accuracies, higher_is_better=True) == pytest.approx(1)
    wide = decades_within(RATES, accuracies, higher_is_better=True, tolerance=0.2)
    assert wide == pytest.approx(2)
    assert decades_within(RATES, accuracies, higher_is_better=True, tolerance=0) == 0


def test_a_negative_loss_is_close_where_it_is_not_much_higher():
    losses = [-8.9, -9.1, -10.0, -9.0, 5.0]
    assert decades_within(RATES, losses, higher_is_better=False) == pytest.approx(2)


def test_a_gap_ends_the_range():
    losses = [1.0, 2.0, 1.05, 1.0, 1.05]
    assert decades_within(RATES, losses, higher_is_better=False) == 0
    assert share_within(losses, higher_is_better=False) == 0.8


def test_of_equal_values_the_best_trial_counts():
    rates, losses = [0.1, 0.1, 1.0, 1.0], [1.0, 9.0, 9.0, 1.1]
    assert decades_within(rates, losses, higher_is_better=False) == pytest.approx(1)


def test_diverged_trials_are_not_close():
    losses = [1.0, math.inf, math.nan, 1.05]
    assert decades_within(RATES[:4], losses, higher_is_better=False) == 0
    assert share_within(losses, higher_is_better=False) == 0.5


def test_where_every_trial_diverged_there_is_no_range():
    losses = [math.nan, math.inf]
    assert math.isnan(decades_within(RATES[:2], losses, higher_is_better=False))
    assert share_within(losses, higher_is_better=False) == 0


def test_one_trial_has_no_width():
    assert decades_within([0.1], [0.9], higher_is_better=True) == 0


def test_wrong_input_is_refused():
    with pytest.raises(ArgumentError, match="must be equally many, got 2 and 1"):
        decades_within([0.1, 0.2], [1.0], higher_is_better=True)
    with pytest.raises(ArgumentError, match="hyperparameter must be above 0, got 0"):
        decades_within([0.1, 0.0], [1.0, 1.0], higher_is_better=True)
    with pytest.raises(ArgumentError, match="The performances must hold at least one"):
        share_within([], higher_is_better=True)
    with pytest.raises(ArgumentError, match="The tolerance must be 0 or more"):
        share_within([1.0], higher_is_better=True, tolerance=-0.1)


def test_the_gain_from_tuning_is_over_the_best_configuration_for_all_problems():
    # Tuned on each problem (0.9 + 0.8) / 2; the means of the configurations are 0.55, 0.6 and 0.4.
    scores = [[0.9, 0.2], [0.6, 0.6], [0.0, 0.8]]
    assert gain_from_tuning_each_problem(scores) == pytest.approx(0.25)
    assert gain_from_tuning_each_problem([[0.9, 0.8], [0.1, 0.2]]) == 0
    with pytest.raises(ArgumentError, match="The scores must be finite"):
        gain_from_tuning_each_problem([[0.9, math.nan]])
