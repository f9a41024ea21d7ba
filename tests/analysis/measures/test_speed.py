"""How soon a target is reached."""

from __future__ import annotations

import json
import math
import tarfile
from typing import Any

import pytest

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import (
    epochs_to_target,
    gradient_evaluations_to_target,
    mean_time,
    seconds_to_target,
    steps_to_target,
)

LOSSES = [2.0, 1.0, 0.5, 0.75, 0.25]
SECONDS = [10.0, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("target", "epochs"), [(2.0, 0), (1.5, 1), (0.5, 2), (0.49, 4), (0.25, 4), (0.2, math.inf)]
)
def test_a_loss_reaches_its_target_at_or_below_it(target, epochs):
    assert epochs_to_target(LOSSES, target, higher_is_better=False) == epochs


@pytest.mark.parametrize(("target", "epochs"), [(0.1, 0), (0.3, 1), (0.6, 1), (0.61, math.inf)])
def test_an_accuracy_reaches_its_target_at_or_above_it(target, epochs):
    assert epochs_to_target([0.1, 0.6, 0.5], target, higher_is_better=True) == epochs


def test_nan_and_an_infinite_loss_reach_nothing():
    assert epochs_to_target([math.nan, math.inf, 0.5], 1.0, higher_is_better=False) == 2
    assert epochs_to_target([math.nan, math.nan], 0.5, higher_is_better=True) == math.inf


def test_steps_and_gradient_evaluations_are_those_of_the_epochs():
    assert steps_to_target(LOSSES, 0.5, 468, higher_is_better=False) == 936
    assert gradient_evaluations_to_target(LOSSES, 0.5, 936.5, higher_is_better=False) == 1873


@pytest.mark.parametrize("measure", [steps_to_target, gradient_evaluations_to_target])
def test_counts_are_zero_infinite_or_unknown(measure):
    assert measure(LOSSES, 3.0, 468, higher_is_better=False) == 0
    assert measure(LOSSES, 0.1, 468, higher_is_better=False) == math.inf
    assert math.isnan(measure(LOSSES, 0.5, math.nan, higher_is_better=False))
    with pytest.raises(ArgumentError, match=r"An epoch must have more than 0 .*, got 0"):
        measure(LOSSES, 0.5, 0, higher_is_better=False)


@pytest.mark.parametrize(
    ("target", "seconds"), [(3.0, 0), (1.0, 10), (0.5, 11), (0.3, 17), (0.1, math.inf)]
)
def test_seconds_are_those_of_the_epochs_until_then(target, seconds):
    assert seconds_to_target(LOSSES, SECONDS, target, higher_is_better=False) == seconds


def test_a_run_without_epochs_took_no_time():
    assert seconds_to_target([2.0], [], 3.0, higher_is_better=False) == 0
    assert seconds_to_target([2.0], [], 1.0, higher_is_better=False) == math.inf


@pytest.mark.parametrize("seconds", [SECONDS[:-1], [*SECONDS, 1.0], [1.0, math.nan, 1.0, 1.0]])
def test_seconds_of_other_epochs_are_refused(seconds):
    with pytest.raises(ArgumentError, match="training seconds"):
        seconds_to_target(LOSSES, seconds, 0.5, higher_is_better=False)


def test_an_empty_curve_and_a_target_that_is_not_known_are_refused():
    with pytest.raises(ArgumentError, match="The curve must hold at least one number"):
        epochs_to_target([], 0.5, higher_is_better=False)
    with pytest.raises(ArgumentError, match="The target must be a number, got NaN"):
        epochs_to_target(LOSSES, math.nan, higher_is_better=False)


def test_the_mean_time_is_that_of_the_runs_that_reach_the_target():
    assert mean_time([2, 4, 9]) == (5.0, 3, 3)
    assert mean_time([2, math.inf, 4]) == (3.0, 2, 3)
    assert mean_time([math.inf, math.inf]) == (math.inf, 0, 2)
    with pytest.raises(ArgumentError, match="The times must be numbers, got NaN"):
        mean_time([1.0, math.nan])


def test_the_mean_time_is_the_published_speed(shared_dir):
    """SGD on tolstoi_char_rnn: the paper reports a speed of 47.7 epochs."""
    configuration = (
        "tolstoi_char_rnn/GradientDescentOptimizer/num_epochs__200__batch_size__50__lr__1.58"
    )
    with tarfile.open(shared_dir / "data/published-baselines-2019.tar.xz") as archive:
        curves = [
            json.loads(archive.extractfile(member).read())["test_accuracies"]
            for member in archive
            if f"{configuration}48931925e+00/" in member.name and member.name.endswith(".json")
        ]
    epochs = [
        epochs_to_target(curve, 0.6045863566200845, higher_is_better=True) for curve in curves
    ]
    assert sorted(epochs) == [40, 41, 42, 43, 43, 45, 46, 48, 58, 71]
    assert mean_time(epochs) == (47.7, 10, 10)


def test_evaluations_within_epochs_have_fractions_of_their_times() -> None:
    losses, at = [4.0, 3.0, 2.0, 1.0], [0, 0.5, 1.5, 1.75]
    options: dict[str, Any] = {"higher_is_better": False, "evaluated_at": at}
    assert epochs_to_target(losses, 2.5, **options) == 1.5
    assert epochs_to_target(losses, 0.5, **options) == math.inf
    assert steps_to_target(losses, 3.5, 100, **options) == 50
    assert gradient_evaluations_to_target(losses, 3.5, 300, **options) == 150
    # The last epoch, of 3 seconds, ended after three quarters.
    for target, seconds in ((4.0, 0), (3.0, 2), (2.0, 4 + 2), (1.0, 4 + 3), (0.0, math.inf)):
        assert seconds_to_target(losses, [4, 3], target, **options) == pytest.approx(seconds)


@pytest.mark.parametrize("at", [[0, 1], [1, 2, 3], [0, 2, 1], [0, math.nan, 1]])
def test_epochs_of_evaluations_that_do_not_fit_a_curve_are_refused(at: list[float]) -> None:
    with pytest.raises(ArgumentError, match="evaluations"):
        epochs_to_target([3, 2, 1], 1, higher_is_better=False, evaluated_at=at)
