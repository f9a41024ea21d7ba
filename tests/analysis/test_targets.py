"""Targets of problems, and how long configurations take to reach them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from result_files import write_result

from deepobs.cli.main import main
from deepobs.errors import ArgumentError, UnknownNameError
from deepobs.plugins import ProblemSpec, registry
from deepobs_analysis import load, select
from deepobs_analysis.targets import (
    FROM_REFERENCE,
    FROM_RESULTS,
    FROM_SETS,
    GIVEN,
    PUBLISHED,
    PUBLISHED_SAME_ORDER,
    mean_time_to_target,
    median_times,
    targets,
    times_to_target,
)


def the_only(selections):
    (selection,) = selections
    return selection


def quadratic_target(results):
    target = targets(select(results))["quadratic_deep"]
    return target.value, target.source


SAME_ORDER = {"training_params": {"reshuffle": False}}


def test_a_published_target_is_used_where_there_is_one(tmp_path):
    write_result(tmp_path, problem="quadratic_deep")
    assert quadratic_target(load(tmp_path)) == (88.0470458984375, PUBLISHED)


def test_runs_that_repeat_one_order_have_a_target_of_their_own(tmp_path):
    write_result(tmp_path, problem="quadratic_deep", **SAME_ORDER)
    write_result(tmp_path, problem="quadratic_deep", optimizer="AdamOptimizer", layout="1.1")
    assert quadratic_target(load(tmp_path)) == (87.70315464772136, PUBLISHED_SAME_ORDER)


def test_a_target_without_another_for_the_same_order_is_that_of_all_runs(tmp_path, fresh_registry):
    solved = ProblemSpec(
        name="acme", target="acme:Acme", batch_size=1, epochs=1, target_performance=0.5
    )
    fresh_registry().problems.register(solved)
    write_result(tmp_path, problem="acme", **SAME_ORDER)
    target = targets(select(load(tmp_path)))["acme"]
    assert (target.value, target.source) == (0.5, PUBLISHED)


def test_the_target_is_that_of_the_order_of_ones_own_runs(tmp_path):
    write_result(tmp_path / "reference", layout="1.1")
    write_result(tmp_path / "own")
    own, reference = load(tmp_path / "own"), load(tmp_path / "reference")
    assert quadratic_target(own.beside(reference)) == (88.0470458984375, PUBLISHED)
    write_result(tmp_path / "mixed", **SAME_ORDER)
    write_result(tmp_path / "mixed", optimizer="Adam")
    assert quadratic_target(load(tmp_path / "mixed")) == (88.0470458984375, PUBLISHED)


def test_without_one_the_best_optimizer_sets_it(tmp_path):
    for seed, final in enumerate((2, 4, 5)):
        write_result(tmp_path, problem="acme", seed=seed, test_losses=[9, final])
        write_result(tmp_path, problem="acme", optimizer="Adam", seed=seed, test_losses=[9, 6])
    target = targets(select(load(tmp_path)))["acme"]
    assert target.value == pytest.approx(1.01 * 4)
    assert target.source == FROM_RESULTS


@pytest.mark.parametrize(("untrained", "floor"), [(0.5, 0.5e-6), (1.7e5, 1e-6)])
def test_none_is_closer_to_the_least_loss_than_rounding(tmp_path, untrained, floor):
    write_result(tmp_path, problem="two_d_beale", test_losses=[untrained, 1e-13])
    (target,) = targets(select(load(tmp_path))).values()
    assert target.value == pytest.approx(floor)


@pytest.mark.parametrize(
    ("changed", "source"),
    [
        ({}, FROM_SETS),
        ({"num_epochs": 2}, FROM_RESULTS),
        ({"training_params": {"max_steps": 10}}, FROM_RESULTS),
        ({"training_params": {"train_fraction": 0.1}}, FROM_RESULTS),
    ],
)
def test_that_of_a_set_is_for_training_as_there(tmp_path, changed, source):
    changed = {"num_epochs": registry().problems.find("plateau").spec.epochs} | changed
    write_result(
        tmp_path, problem="plateau", test_losses=[0.5] * (changed["num_epochs"] + 1), **changed
    )
    (target,) = targets(select(load(tmp_path))).values()
    assert target.source == source


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


def solved(directory, name="acme", losses=(9, 3, 1)):
    for seed in range(3):
        write_result(directory, problem=name, seed=seed, test_losses=losses)
    return directory


def test_a_target_can_be_fixed(tmp_path):
    results = load(solved(tmp_path)).with_targets({"acme": 3})
    target = targets(select(results))["acme"]
    assert (target.value, target.source) == (3, GIVEN)


def test_fixed_targets_are_refused_with_a_reason(tmp_path):
    results = load(solved(tmp_path))
    with pytest.raises(UnknownNameError, match="Did you mean 'acme'"):
        results.with_targets({"acne": 3})
    write_result(tmp_path / "other", problem="digits_mlp", test_accuracies=[0.1, 0.9, 0.9])
    with pytest.raises(ArgumentError, match="digits_mlp is an accuracy, a number from 0 to 1; got"):
        load(tmp_path / "other").with_targets({"digits_mlp": 95})
    for value in ("much", True, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="The target of acme must be a finite number"):
            results.with_targets({"acme": value})


@pytest.mark.parametrize("command", [["table"], ["score"], ["plot", "time_to_target"]])
def test_commands_take_targets(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    solved(tmp_path / "results")
    (tmp_path / "goals.toml").write_text("[targets]\nacme = 0.1\n")
    assert main([*command, "results", "--targets", "goals.toml"]) == 0
    assert main([*command, "results", "--targets", "goals.toml", "--target", "acme=3"]) == 0
    out = capsys.readouterr().out
    if command == ["table"]:
        never, always = (line for line in out.splitlines() if "SGD" in line and "lr" in line)
        assert "never (0 of 3)" in never
        assert "1.00" in always


def test_the_report_takes_targets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    solved(tmp_path / "results")
    assert main(["report", "results", "--target", "acme=3"]) == 0
    assert f"The target is a test loss of 3.000, {GIVEN}." in Path("report.html").read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--target", "acme"], "'acme' is not PROBLEM=VALUE, such as digits_mlp=0.95."),
        (["--target", "acme=3", "--target", "acme=4"], "The target of 'acme' is given twice"),
        (["--target", "acme=much"], "must be a finite number, such as 0.9; got 'much'"),
        (["--target", "acne=3"], "no run of the problem 'acne'. Did you mean 'acme'?"),
        (["--targets", "none.toml"], "Cannot read the targets in none.toml"),
        (["--targets", "goals.toml"], "goals.toml has 'target', but only"),
    ],
)
def test_mistakes_in_targets_are_explained(tmp_path, monkeypatch, capsys, given, message):
    monkeypatch.chdir(tmp_path)
    solved(tmp_path / "results")
    (tmp_path / "goals.toml").write_text("[target]\nacme = 1\n")
    assert main(["table", "results", *given]) != 0
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_target_holds_for_all_protocols_unless_it_names_one(tmp_path):
    write_result(tmp_path, problem="acme", test_losses=[9, 3])
    write_result(tmp_path, problem="acme", optimizer="Adam", test_losses=[9, 3, 1])
    results = load(tmp_path).with_targets({"acme": 3, "acme (epochs = 2)": 2})
    values = {name: each.value for name, each in targets(select(results)).items()}
    assert values == {"acme (epochs = 1)": 3, "acme (epochs = 2)": 2}
