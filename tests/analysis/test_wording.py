"""Numbers as people read them."""

import pytest

from deepobs_analysis.measures import Interval, MeanAndDeviation, MeanTime
from deepobs_analysis.wording import (
    estimate_text,
    interval_text,
    mean_text,
    number,
    share,
    time_text,
)


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (0.620716475, 0.002793, "0.6207 ± 0.0028"),
        (87.11188028, 0.02295, "87.112 ± 0.023"),
        (38.456086, 11.833851, "38 ± 12"),
        (0.5, 0.0999, "0.50 ± 0.10"),
        (0.0, 0.5, "0.00 ± 0.50"),
        (-1.0, 0.5, "-1.00 ± 0.50"),
        (2.5, 0.0, "2.500 ± 0"),
        (1.0, 1e-12, "1.000000 ± 1e-12"),
        (3.2e12, 1.1e12, "3.2e+12 ± 1.1e+12"),
        (2.04e-7, 3.1e-9, "2.040e-07 ± 3.1e-09"),
    ],
)
def test_a_mean_has_the_digits_that_its_deviation_leaves(mean, deviation, text):
    assert mean_text(MeanAndDeviation(mean, deviation), 10) == text


def test_of_one_seed_there_is_no_deviation():
    assert mean_text(MeanAndDeviation(0.5, 0.0), 1) == "0.5000"


def test_what_is_not_known_is_a_dash():
    assert mean_text(None, 3) == mean_text(MeanAndDeviation(float("nan"), 0), 3) == "-"
    assert number(None) == number(float("nan")) == time_text(None) == "-"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (29.99968, "30.00"),
        (183.3, "183.3"),
        (99999.4, "99999"),
        (1e6, "1.000e+06"),
        (0.00012345, "0.0001234"),
        (1e-9, "1.000e-09"),
        (float("inf"), "∞"),
        (float("-inf"), "-∞"),
    ],
)
def test_a_number_has_four_digits(value, text):
    assert number(value) == text


def test_times_say_how_many_seeds_reached_the_target():
    assert time_text(MeanTime(47.7, 10, 10)) == "47.7"
    # Of the mean of the three fastest, nothing is said.
    assert time_text(MeanTime(12.0, 3, 10)) == "reached by 3 of 10 seeds"
    assert time_text(MeanTime(float("inf"), 0, 10)) == "never (0 of 10)"


def test_a_small_share_is_not_none():
    assert (share(0), share(0.001), share(0.267), share(1)) == ("0 %", "< 1 %", "27 %", "100 %")


@pytest.mark.parametrize(
    ("low", "high", "seeds", "text"),
    [
        (0.58875, 0.71, 3, "[0.589, 0.710] (3 seeds)"),
        (-2.6, 17.1, 3, "[-2.6, 17.1] (3 seeds)"),
        (0.98123, 0.98126, 30, "[0.981230, 0.981260] (30 seeds)"),
        (-120.0, 340.0, 2, "[-120, 340] (2 seeds)"),
        (0.5, 0.5, 5, "[0.5000, 0.5000] (5 seeds)"),
    ],
)
def test_an_interval_has_the_digits_that_it_carries(low, high, seeds, text):
    assert interval_text(Interval(low, high), seeds) == text


def test_an_estimate_has_no_more_digits_than_its_interval():
    assert estimate_text(0.834567, Interval(0.6, 1.07), 3) == "0.83 [0.60, 1.07] (3 seeds)"
    assert estimate_text(0.834567, None, 1) == "0.8346"
