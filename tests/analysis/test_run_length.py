"""Results of runs that end after a number of steps, or train on a part of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deepobs.runs import run, specify
from deepobs_analysis import load

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_that_ends_within_an_epoch_is_read(tmp_path: Path) -> None:
    run(specify("quadratic_deep", "SGD", batch_size=125, max_steps=20), output_dir=tmp_path)
    results = load(tmp_path)
    (row,) = results.runs.to_dict("records")
    assert (row["num_epochs"], row["steps"], row["steps_per_epoch"]) == (3, 20, 8)
    curves = results.curves()
    steps = curves[(curves["split"] == "test") & (curves["metric"] == "loss")]["step"]
    assert list(steps) == [0, 8, 16, 20]


def test_equal_steps_are_one_protocol_whatever_the_batch_size(tmp_path: Path) -> None:
    for size in (125, 250):
        run(specify("quadratic_deep", "SGD", batch_size=size, max_steps=20), output_dir=tmp_path)
    protocols = load(tmp_path).runs["protocol"]
    assert [one["max_steps"] for one in protocols] == [20, 20]
    assert {one.get("num_epochs") for one in protocols} == {None}


def test_a_diverged_seed_is_of_the_configuration_of_the_others(tmp_path: Path) -> None:
    limits = {"batch_size": 125, "max_steps": 20, "num_epochs": 2}
    for options in limits, {"batch_size": 125, "max_steps": 10, "num_epochs": 2}:
        for rate in 0.01, 1e30:
            run(specify("quadratic_deep", "SGD", {"lr": rate}, **options), output_dir=tmp_path)  # type: ignore[arg-type]
    runs = load(tmp_path).runs
    assert runs.groupby("problem")["has_diverged"].sum().tolist() == [1, 1]
    protocols = {(one.get("num_epochs"), one["max_steps"]) for one in runs["protocol"]}
    assert protocols == {(None, 10), (2, 20)}


@pytest.mark.parametrize("other", [{"max_steps": 3}, {"num_epochs": 1, "train_fraction": 0.5}])
def test_other_lengths_and_fractions_are_other_protocols(
    tmp_path: Path, other: dict[str, object]
) -> None:
    run(specify("quadratic_deep", "SGD", num_epochs=1), output_dir=tmp_path)
    run(specify("quadratic_deep", "SGD", **other), output_dir=tmp_path)  # type: ignore[arg-type]
    assert load(tmp_path).runs["problem"].nunique() == 2
