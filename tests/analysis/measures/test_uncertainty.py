"""Intervals that hold what they say, from few seeds, and tests of many pairs."""

from __future__ import annotations

import math
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import (
    difference_interval,
    difference_p_value,
    holm,
    improvement_interval,
    interquartile_mean_interval,
    mean_interval,
    mean_score,
    performance_difference,
    prediction_interval,
    probability_of_improvement,
    share_interval,
)
from deepobs_analysis.measures.arrays import grid_step, is_on_grid

SEEDS = [3, 5, 10, 30]
difference = partial(difference_interval, higher_is_better=True)
p_value = partial(difference_p_value, higher_is_better=True)
improvement = partial(improvement_interval, higher_is_better=True)


def runs(problems=8, seeds=10, shift=0.0):
    return list(np.random.default_rng(7).normal(shift, 1.0, size=(problems, seeds)))


def covered(interval, truth, repetitions=500):
    drawn = [interval() for _ in range(repetitions)]
    return sum(low <= truth <= high for low, high in drawn) / repetitions


@pytest.fixture(params=["normal", "log-normal"])
def draw(request):
    generator = np.random.default_rng(1)
    if request.param == "normal":
        return generator.standard_normal
    return lambda shape: generator.lognormal(0, 0.5, shape)


@pytest.mark.parametrize("seeds", SEEDS)
def test_an_interval_of_a_mean_holds_it_as_often_as_it_says(draw, seeds):
    truth = float(draw(1_000_000).mean())
    assert 0.925 <= covered(lambda: mean_interval([draw(seeds)]), truth) <= 0.975


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("seeds", SEEDS)
def test_an_interval_of_a_difference_holds_it_as_often_as_it_says(draw, seeds, paired):
    held = covered(lambda: difference([draw(seeds)], [draw(seeds)], paired=paired), 0)
    assert 0.925 <= held <= 0.98


@pytest.mark.parametrize("seeds", SEEDS)
def test_intervals_over_problems_hold_the_truth_in_92_of_100_cases(draw, seeds):
    levels, spreads = np.linspace(0, 1, 6)[:, None], np.geomspace(0.02, 0.2, 6)[:, None]
    truth = stats.trim_mean(levels + spreads * draw((6, 100_000)), 0.25, axis=None)

    def middle():
        return interquartile_mean_interval(list(levels + spreads * draw((6, seeds))))

    def compared():
        return improvement(list(draw((6, seeds))), list(draw((6, seeds))))

    assert covered(middle, truth, 200) >= 0.92
    assert covered(compared, 0.5, 200) >= 0.92


def test_of_equal_optimizers_hardly_any_leads_significantly(draw):
    false = 0
    for _ in range(300):
        tests = [
            p_value([own], [other], paired=True)
            for scores in draw((4, 4, 3))
            for own, other in combinations(scores, 2)
        ]
        false += min(holm(tests)) <= 0.05
    # 5 %, and what 300 repetitions leave open.
    assert false / 300 <= 0.075


def test_a_difference_is_tested_as_by_welch_and_by_pairs():
    x, y = runs(problems=1), runs(problems=1, seeds=7, shift=0.8)
    welch = stats.ttest_ind(x[0], y[0], equal_var=False)
    assert difference(x, y) == pytest.approx(tuple(welch.confidence_interval()))
    assert p_value(x, y) == pytest.approx(welch.pvalue)
    z = [x[0] + np.random.default_rng(1).normal(0.3, 0.1, size=10)]
    by_pairs = stats.ttest_rel(x[0], z[0])
    assert difference(x, z, paired=True) == pytest.approx(tuple(by_pairs.confidence_interval()))
    assert p_value(x, z, paired=True) == pytest.approx(by_pairs.pvalue)


def test_a_symmetric_mean_has_the_interval_of_student():
    low, high = mean_interval([[1.0, 2.0, 3.0]])
    assert (low, high) == pytest.approx(stats.t(2, 2, 1 / math.sqrt(3)).interval(0.95))


def test_an_interval_is_longer_where_runs_are_skewed():
    low, high = mean_interval([[1.0, 1.0, 1.1, 4.0]])
    assert high - 1.775 > 1.775 - low
    mirrored = mean_interval([[-1.0, -1.0, -1.1, -4.0]])
    assert mirrored == pytest.approx((-high, -low))


def test_more_confidence_is_a_wider_interval():
    low, high = mean_interval(runs(), confidence=0.5)
    lower, higher = mean_interval(runs(), confidence=0.99)
    assert lower < low < mean_score(runs()) < high < higher


def test_directions_of_problems_count():
    losses = difference_interval(runs(2), runs(2, shift=1), higher_is_better=False)
    both = difference_interval(runs(2), runs(2, shift=1), higher_is_better=[True, False])
    assert losses.low < 1 < losses.high
    assert both.low < 0 < both.high


def test_of_a_single_seed_there_is_no_interval():
    single = [[1.0, 2.0], [1.0]]
    assert mean_interval(single) is None
    assert interquartile_mean_interval(single) is None
    assert difference(single, single) is None
    assert difference(single, single, paired=True) is None
    assert p_value(single, single) is None
    assert improvement(single, single) is None
    assert prediction_interval([1.0]) is None
    assert share_interval(1, 1) is None


@pytest.mark.parametrize("value", [0.9, 0.1, 1 / 3, 91.83512345])
@pytest.mark.parametrize("seeds", SEEDS)
def test_equal_results_are_exactly_equal(value, seeds):
    same = [[value] * seeds]
    assert mean_interval(same) == (value, value)
    assert difference(same, same) == difference(same, same, paired=True) == (0, 0)
    assert p_value(same, same) == p_value(same, same, paired=True) == 1
    assert prediction_interval(same[0]) == (value, value)


def test_the_order_of_seeds_does_not_matter():
    values = np.random.default_rng(3).random(30)
    assert performance_difference([values], [values[::-1]], higher_is_better=True) == 0
    assert p_value([values], [values[::-1]]) == 1


@pytest.mark.parametrize("scale", [1e-200, 1e100, 1e200])
def test_huge_and_tiny_losses_have_intervals_like_others(scale):
    values = np.array([1.0, 2.0, 4.0])
    expected = mean_interval([values])
    assert mean_interval([scale * values]) == pytest.approx(
        (scale * expected.low, scale * expected.high)
    )
    both = [scale * values], [scale * values[[1, 2, 0]] * 1.1]
    assert p_value(*both) == pytest.approx(p_value([values], [values[[1, 2, 0]] * 1.1]))


def test_a_difference_of_rounding_is_none():
    assert p_value([[0.1 + 0.2] * 3], [[0.3] * 3]) == 1


def test_without_any_variation_a_difference_is_certain():
    assert p_value([[2.0] * 3], [[1.0] * 3]) == 0
    assert difference([[2.0] * 3], [[1.0] * 3]) == (1, 1)


@pytest.mark.parametrize("seeds", [3, 5])
def test_an_interval_over_problems_of_unequal_spread_holds_what_seeds_give(seeds):
    levels = np.array([0.971, 1.0033, 1.009])[:, None]
    spreads = np.array([0.0135, 0.00002, 0.0042])[:, None]
    generator = np.random.default_rng(4)

    def drawn():
        return levels + spreads * generator.standard_normal((3, seeds))

    truth = np.mean([stats.trim_mean(drawn(), 0.25, axis=None) for _ in range(3000)])
    assert covered(lambda: interquartile_mean_interval(list(drawn())), truth, 200) >= 0.9


def test_a_noisy_problem_counts_where_trimming_leaves_one_of_its_seeds():
    noisy = [0.98216782, 0.95664118, 0.97487449]
    others = [[1.01130494, 1.01130494, 1.00408134], [1.00328992, 1.00328623, 1.00331408]]
    low, high = interquartile_mean_interval([noisy, *others])
    lucky = [noisy[0] + 0.01, *noisy[1:]]
    moved = stats.trim_mean(np.concatenate([lucky, *others]), 0.25)
    assert low < moved < high
    reordered = interquartile_mean_interval([noisy[::-1], *(each[::-1] for each in others)])
    assert reordered == (low, high)


def test_seeds_of_equal_accuracy_have_the_interval_of_rounding():
    step = 1 / 320
    own, other = np.full(3, 0.975), np.full(3, 0.975 - 4 * step)
    found = difference([own], [other], paired=True, resolution=step)
    # Of two independent errors, each uniform on an interval as wide as the step.
    error = math.sqrt(2 * stats.uniform(scale=step).var() / 3)
    assert found == pytest.approx(stats.t(2, 4 * step, error).interval(0.95))
    p = p_value([own], [other], paired=True, resolution=step)
    assert p == pytest.approx(2 * stats.t(2).sf(4 * step / error))
    assert p_value([own], [other], resolution=step) == pytest.approx(
        2 * stats.t(4).sf(4 * step / error)
    )
    low, high = mean_interval([own], resolution=step)
    assert (low, high) == pytest.approx(stats.t(2, 0.975, error / math.sqrt(2)).interval(0.95))
    low, high = prediction_interval(own, resolution=step)
    spread = stats.uniform(scale=step).std() * math.sqrt(1 + 1 / 3)
    assert (low, high) == pytest.approx(stats.t(2, 0.975, spread).interval(0.95))


def test_accuracies_that_vary_by_more_than_rounding_are_compared_as_before():
    own, other = [0.9, 0.95, 0.97], [0.91, 0.9, 0.93]
    for paired in (True, False):
        expected = difference([own], [other], paired=paired)
        assert difference([own], [other], paired=paired, resolution=0.01) == expected


@pytest.mark.parametrize("deviation", [0.3, 1.0])
def test_of_equally_accurate_optimizers_hardly_any_leads_significantly(deviation):
    generator, false = np.random.default_rng(5), 0
    for _ in range(200):
        mean = generator.random((2, 1, 1))
        tests = [
            p_value([own], [other], paired=True, resolution=1)
            for scores in np.round(mean + deviation * generator.standard_normal((2, 6, 3)))
            for own, other in combinations(scores, 2)
        ]
        false += min(holm(tests)) <= 0.05
    assert false / 200 <= 0.03


def test_the_step_of_accuracies_is_found():
    counts = np.random.default_rng(0).integers(200, 320, size=30)
    assert grid_step(counts / 320) == 1 / 320
    assert grid_step([0.123456789, 0.5]) == 0
    assert is_on_grid(counts / 320, 1 / 320)
    assert not is_on_grid(counts / 640, 1 / 320)


def test_a_probability_of_one_from_few_seeds_is_not_certain():
    low, high = improvement([[1.0, 2.0, 3.0]], [[-1.0, 0.0, 0.5]])
    assert high == 1
    assert 0.3 < low < 0.6
    many = improvement([np.arange(40.0, 60.0)], [np.arange(20.0)])
    assert many.low > 0.75


def test_an_interval_of_improvement_is_around_it():
    x, y = runs(shift=0.8), runs(seeds=7)
    low, high = improvement(x, y)
    assert low < probability_of_improvement(x, y, higher_is_better=True) < high
    assert improvement(y, x) == pytest.approx((1 - high, 1 - low))
    assert improvement([[math.inf, 1.0]], [[0.0, 2.0]]) == improvement([[3, 1]], [[0, 2]])


def test_a_share_has_the_interval_of_clopper_and_pearson():
    for count, of in ((0, 10), (1, 10), (4, 10), (10, 10)):
        expected = stats.binomtest(count, of).proportion_ci(method="exact")
        assert share_interval(count, of) == pytest.approx((expected.low, expected.high))


def test_one_more_seed_is_where_it_was_predicted():
    generator = np.random.default_rng(2)
    held = sum(
        low <= generator.standard_normal() <= high
        for low, high in (prediction_interval(generator.standard_normal(9)) for _ in range(1000))
    )
    assert 0.93 <= held / 1000 <= 0.97
    one, mean_of_many = (prediction_interval([1.0, 2.0, 3.0], further=n) for n in (1, 10))
    assert one.low < mean_of_many.low


def test_p_values_are_adjusted_from_the_smallest_on():
    # 4 * 0.01, 3 * 0.02 and 2 * 0.03, and the last is no smaller than the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_wrong_input_is_refused():
    with pytest.raises(ArgumentError, match="at least one problem, got none"):
        mean_interval([])
    with pytest.raises(ArgumentError, match="confidence must be above 0 and below 1, got 95"):
        mean_interval(runs(), confidence=95)
    with pytest.raises(ArgumentError, match="Pairs need equally many runs, got 10 and 7"):
        difference(runs(), runs(seeds=7), paired=True)
    with pytest.raises(ArgumentError, match="must be finite, got inf"):
        mean_interval([[1.0, math.inf]])
    with pytest.raises(ArgumentError, match="A share is of 1 run or more, got 3 of 2"):
        share_interval(3, 2)
