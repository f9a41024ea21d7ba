"""Intervals from resampled seeds."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import (
    interquartile_mean,
    mean_score,
    performance_difference,
    probability_of_improvement,
    stratified_bootstrap,
)
from deepobs_analysis.measures.aggregates import percentile_interval, resample

improvement = partial(probability_of_improvement, higher_is_better=True)
difference = partial(performance_difference, higher_is_better=True)


def runs(problems=8, seeds=10, shift=0.0):
    return list(np.random.default_rng(7).normal(shift, 1.0, size=(problems, seeds)))


def interval(seed, **options):
    generator = np.random.default_rng(seed)
    return stratified_bootstrap(interquartile_mean, runs(), generator=generator, **options)


def test_equal_generators_give_equal_intervals():
    assert interval(3) == interval(3)
    assert interval(3) != interval(4)


def test_the_generator_is_the_only_source_of_chance():
    generator = np.random.default_rng(3)
    first = stratified_bootstrap(interquartile_mean, runs(), generator=generator)
    np.random.seed(0)
    second = stratified_bootstrap(interquartile_mean, runs(), generator=generator)
    assert first == interval(3)
    assert second != first


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


def test_the_interval_has_the_width_that_theory_gives():
    # The mean of 0 and 1 drawn twice is 0, 0.5 or 1 with probabilities 1/4, 1/2 and 1/4.
    generator = np.random.default_rng(0)
    assert stratified_bootstrap(mean_score, [[0, 1]], generator=generator) == (0.0, 1.0)
    narrow = stratified_bootstrap(mean_score, [[0, 1]], generator=generator, confidence=0.4)
    assert narrow == (0.5, 0.5)


def test_a_percentile_interval_leaves_out_as_much_on_both_sides():
    assert percentile_interval(np.arange(100.0), confidence=0.9) == (5, 94)
    assert percentile_interval(np.array([math.inf, 1.0, 2.0])) == (1.0, math.inf)


def test_more_confidence_is_a_wider_interval():
    low, high = interval(0, confidence=0.5)
    lower, higher = interval(0, confidence=0.99)
    assert lower < low < high < higher


def test_one_run_has_no_width():
    generator = np.random.default_rng(0)
    assert stratified_bootstrap(mean_score, [[2.0], [4.0]], generator=generator) == (3.0, 3.0)


@pytest.mark.parametrize("measure", [improvement, difference])
def test_two_optimizers_are_both_resampled(measure):
    generator = np.random.default_rng(0)
    low, high = stratified_bootstrap(measure, runs(shift=0.8), runs(seeds=7), generator=generator)
    assert low < measure(runs(shift=0.8), runs(seeds=7)) < high
    fixed = stratified_bootstrap(
        measure, runs(shift=0.8), [[each.mean()] for each in runs(seeds=7)], generator=generator
    )
    assert fixed.high - fixed.low < high - low


def test_intervals_hold_the_true_mean_about_as_often_as_they_say():
    generator = np.random.default_rng(11)
    held = 0
    for _ in range(200):
        scores = generator.normal(5.0, 2.0, size=(4, 10))
        low, high = stratified_bootstrap(
            mean_score, list(scores), generator=generator, samples=1000
        )
        held += low <= 5.0 <= high
    assert 0.88 <= held / 200 <= 0.98


def test_wrong_input_is_refused():
    bootstrap = partial(stratified_bootstrap, generator=np.random.default_rng(0))
    with pytest.raises(ArgumentError, match="at least one optimizer, got none"):
        bootstrap(mean_score)
    with pytest.raises(ArgumentError, match="at least one problem, got none"):
        bootstrap(mean_score, [])
    with pytest.raises(ArgumentError, match="samples must be 1 or more, got 0"):
        bootstrap(mean_score, runs(), samples=0)
    with pytest.raises(ArgumentError, match="confidence must be above 0 and below 1, got 95"):
        bootstrap(mean_score, runs(), confidence=95)
    with pytest.raises(ArgumentError, match="each of 2000 samples, got the shape \\(\\)"):
        bootstrap(np.mean, runs())
    with pytest.raises(ArgumentError, match="dimensions: 1"):
        bootstrap(mean_score, [[[1.0, 2.0]]])
