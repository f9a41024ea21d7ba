"""Spaces of hyperparameters: what may be written, what it means, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from deepobs.errors import ArgumentError
from deepobs_bench.tuning.settings import TuningSettings, checked_settings
from deepobs_bench.tuning.spaces import Choice, Range, parsed, written


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("log:1e-5:1e2", Range("log", 1e-5, 1e2)),
        ("log:1e-5:1e2:36", Range("log", 1e-5, 1e2, 36)),
        ("uniform:-1:0.5", Range("uniform", -1, 0.5)),
        ("int:1:10", Range("int", 1, 10)),
        ("one-minus-log:1e-4:1", Range("one-minus-log", 1e-4, 1)),
        ("choice:true,false", Choice((True, False))),
        ("64,128", Choice((64, 128))),
        ("choice:64", Choice((64,))),
        ("choice:(0.9,0.99),(0.8,0.9)", Choice(([0.9, 0.99], [0.8, 0.9]))),
        ("choice:relu,none,0.5", Choice(("relu", None, 0.5))),
        ([0.1, 0.01], Choice((0.1, 0.01))),
    ],
)
def test_a_space_reads_back_as_it_was_written(text: Any, dimension: Any) -> None:
    assert parsed(text) == dimension
    assert parsed(written(dimension)) == dimension


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lgo:1:2", "Did you mean 'log'"),
        ("0.1", "Allowed: log:1e-5:1e2"),
        ("log:1", "Allowed: log:1e-5:1e2"),
        ("log:a:b", "Allowed: log:1e-5:1e2"),
        ("log:1:2:3:4", "Allowed: log:1e-5:1e2"),
        ("log:0:1", "a logarithmic space must be above 0"),
        ("log:1:1e-5", "the first number must be below the second"),
        ("log:nan:1", "the first number must be below the second"),
        ("uniform:0:inf", "the first number must be below the second"),
        ("int:1.5:3", "Allowed"),
        ("one-minus-log:0.1:2", "must not exceed 1"),
        ("log:1:2:1", "has 1 points: a grid needs 2 or more"),
        ("log:1:2:1000001", "a grid has at most 1000000"),
        ("choice:", "must have values"),
        ("choice:1,1", "each of them once"),
        ([], "must have values"),
        (0.1, "0.1 is not a space"),
    ],
)
def test_a_space_that_means_nothing_is_refused(text: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        parsed(text)


def test_a_logarithmic_grid_is_that_of_numpy() -> None:
    grid = parsed("log:1e-5:1e2:36").grid()
    assert grid == pytest.approx(np.logspace(-5, 2, 36).tolist(), rel=1e-11)
    assert (grid[0], grid[-1]) == (1e-5, 1e2)


def test_a_grid_of_more_integers_than_can_be_tried_needs_a_number_of_points() -> None:
    with pytest.raises(ArgumentError, match="write int:1:10000000:10"):
        parsed("int:1:10000000").grid()


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("uniform:0:1:3", [0, 0.5, 1]),
        ("int:1:4", [1, 2, 3, 4]),
        ("int:1:9:3", [1, 5, 9]),
        ("one-minus-log:1e-3:1:4", [0.999, 0.99, 0.9, 0.0]),
        ("choice:true,false", [True, False]),
    ],
)
def test_a_grid_has_the_ends_and_what_lies_between(text: str, grid: list[Any]) -> None:
    assert parsed(text).grid() == pytest.approx(grid)


def test_a_grid_without_a_number_of_points_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"needs a number of points: write log:1e-05:100:10"):
        parsed("log:1e-5:1e2").grid()


def test_drawn_numbers_read_well_and_stay_in_their_range() -> None:
    assert parsed("log:1e-5:1").value_of(0.123456789) == 0.123457
    assert parsed("one-minus-log:1e-4:1").value_of(0.00012345678) == 0.999876543
    narrow = parsed("uniform:0.5:0.9999999")
    assert narrow.value_of(0.9999999) == 0.9999999
    assert isinstance(parsed("int:1:10").value_of(3), int)


def test_settings_survive_the_way_through_a_file() -> None:
    settings = TuningSettings(
        space={"lr": "log:1e-5:1e2", "nesterov": [True, False]}, trials=10, seeds="1..3"
    )
    assert settings.model_dump(mode="json")["space"]["lr"] == "log:1e-05:100"
    assert TuningSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": {"lr": "lgo:1:2"}}, "space.lr: 'lgo:1:2' is not a space.*Did you mean 'log'"),
        ({"preset": "papr"}, 'preset: must be one of "paper", "crowded-valley", got "papr"'),
        ({}, "Nothing to try"),
        (
            {"space": {"lr": [1]}, "trials": 0},
            "trials: must be an integer from 1 to 1000000, got 0",
        ),
        ({"preset": "paper", "budget": "small", "trials": 3}, "either a budget or a number"),
        ({"budget": "one-shot", "space": {"lr": [1]}}, "one-shot means the defaults"),
        ({"space": {"lr": [1]}, "select_on": "train"}, 'select_on: must be one of "valid", "test"'),
        ({"space": {"lr": [1]}, "seeds": [1, 1]}, "seeds: must be different seeds"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        checked_settings(settings)
    with pytest.raises(ValidationError):
        TuningSettings(**settings)
