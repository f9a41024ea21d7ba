"""Targets of problems, and how long configurations take to reach them."""

from __future__ import annotations

import numpy as np
import pytest
from result_files import write_result

from deepobs_analysis import load, select
from deepobs_analysis.targets import (
    FROM_REFERENCE,
    FROM_RESULTS,
    PUBLISHED,
    mean_time_to_target,
    median_times,
    targets,
    times_to_target,
)


def the_only(selections):
    (selection,) = selections
    return selection


def test_a_published_target_is_used_where_there_is_one(tmp_path):
    write_result(tmp_path, problem="quadratic_deep")
    target = targets(select(load(tmp_path)))["quadratic_deep"]
    assert (target.value, target.source) == (87.70315464772136, PUBLISHED)


def test_without_one_the_best_optimizer_sets_it(tmp_path):
    for seed, final in enumerate((2, 4, 5)):
        write_result(tmp_path, problem="acme", seed=seed, test_losses=[9, final])
        write_result(tmp_path, problem="acme", optimizer="Adam", seed=seed, test_losses=[9, 6])
    target = targets(select(load(tmp_path)))["acme"]
    assert target.value == pytest.approx(1.01 * 4)
    assert target.source == FROM_RESULTS


def test_a_reference_set_sets_it_where_there_is_one(tmp_path):
    write_result(tmp_path / "own", problem="acme", test_losses=[9, 1])
    write_result(tmp_path / "theirs", problem="acme", test_losses=[9, 3])
    results = load(tmp_path / "own").beside(load(tmp_path / "theirs"))
    target = targets(select(results))["acme"]
    assert target.value == pytest.approx(1.01 * 3)
    assert target.source == FROM_REFERENCE


def test_where_everything_diverged_there_is_none(tmp_path):
    nan = float("nan")
    write_result(tmp_path, problem="acme", layout="1.2", test_losses=[9, nan])
    assert targets(select(load(tmp_path))) == {}


def test_times_are_told_in_every_unit(tmp_path):
    write_result(
        tmp_path,
        test_losses=[9, 5, 4],
        train_seconds=[1.5, 2.5],
        steps=20,
        gradient_evaluations=40,
    )
    selection = the_only(select(load(tmp_path)))
    per_epoch = selection.runs["steps_per_epoch"].iloc[0]
    assert times_to_target(selection, 4).tolist() == [2]
    assert times_to_target(selection, 4, "seconds").tolist() == [4]
    assert times_to_target(selection, 4, "steps").tolist() == [2 * per_epoch]
    assert times_to_target(selection, 4, "gradient evaluations").tolist() == [4 * per_epoch]
    assert times_to_target(selection, 3, "steps").tolist() == [np.inf]


def test_what_was_not_recorded_is_not_known(tmp_path):
    write_result(tmp_path, layout="1.1", problem="acme", test_losses=[9, 5])
    selection = the_only(select(load(tmp_path)))
    assert np.isnan(times_to_target(selection, 5, "seconds")).all()
    assert mean_time_to_target(selection, 5, "seconds") is None
    assert mean_time_to_target(selection, 5).mean == 1


def test_median_times_are_of_problems_that_all_optimizers_ran(tmp_path):
    for optimizer, time in (("SGD", 2), ("Adam", 1)):
        for seed in range(3):
            losses = [9, *([8] * time), 1][: 4 - (seed == 0)]
            losses = [9, 8, 8, 8]
            losses[time] = 1
            write_result(
                tmp_path, optimizer=optimizer, seed=seed, problem="acme", test_losses=losses
            )
    write_result(tmp_path, problem="other", test_losses=[9, 1])
    selections = select(load(tmp_path))
    goals = targets(selections)
    goals["acme"] = goals["other"]
    optimizers, problems, times = median_times(selections, goals)
    assert (optimizers, problems) == (["Adam", "SGD"], ["acme"])
    assert times.tolist() == [[1], [2]]
