"""Paths over functions of two variables."""

from __future__ import annotations

import json

import pytest
from result_files import write_result

from deepobs.errors import ArgumentError, DataError
from deepobs.runs import run, specify
from deepobs_analysis import load
from deepobs_analysis.plots.iterates import iterates
from deepobs_analysis.plots.trajectories import trajectories


@pytest.fixture
def runs(tmp_path):
    for optimizer, lr in (("SGD", 1e-4), ("Adam", 0.02)):
        specification = specify("two_d_rosenbrock", optimizer, {"lr": lr}, num_epochs=2)
        run(specification, output_dir=tmp_path / "results")
    return tmp_path / "results"


def test_a_run_that_is_repeated_takes_the_same_path(runs):
    results = load(runs)
    for _, each in results.runs.iterrows():
        path = iterates(each["file"])
        assert path.test_loss == each["test_losses"][-1]
        assert path.is_faithful
        assert path.points.shape == (each["steps"] + 1, 2)
        assert path.points[0].tolist() == [-0.5, 1.5]
        u, v = path.points[-1]
        assert (1 - u) ** 2 + 100 * (v - u**2) ** 2 == pytest.approx(path.test_loss, rel=1e-5)


def test_schedules_and_diverged_runs_are_repeated_too(tmp_path):
    scheduled = specify(
        "two_d_branin", "SGD", {"lr": 1e-3}, num_epochs=2,
        lr_scheduler={"name": "ExponentialLR", "arguments": {"gamma": 0.1}},
    )  # fmt: skip
    run(scheduled, output_dir=tmp_path)
    run(specify("two_d_beale", "SGD", {"lr": 1.0}, num_epochs=2), output_dir=tmp_path)
    lost, kept = (row for _, row in load(tmp_path).runs.iterrows())
    assert iterates(kept["file"]).test_loss == kept["test_losses"][-1]
    assert lost["has_diverged"]
    assert len(iterates(lost["file"]).points) > 1
    trajectories(load(tmp_path))


def test_each_problem_has_the_paths_of_its_optimizers(runs):
    figure = trajectories(load(runs))
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "two_d_rosenbrock"
    assert len([line for line in axes.lines if len(line.get_xdata()) == 2 * 78 + 1]) == 2
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert left < -0.5 < 1 < right
    assert low < 1 < 1.5 < high
    assert "elsewhere" not in figure.get_supxlabel()


def test_a_run_that_ends_elsewhere_than_recorded_is_named(runs):
    for file in runs.rglob("*.json"):
        content = json.loads(file.read_text())
        if content["optimizer_name"] == "Adam":
            content["test_losses"][-1] *= 2
            file.write_text(json.dumps(content))
    figure = trajectories(load(runs, cache=False))
    note = " ".join(figure.get_supxlabel().split())
    assert "elsewhere than when recorded: Adam on two_d_rosenbrock." in note


def test_other_problems_and_other_formats_have_no_paths(tmp_path):
    write_result(tmp_path)
    write_result(tmp_path, problem="two_d_beale", layout="1.2")
    with pytest.raises(ArgumentError, match="no run on a function of two variables"):
        trajectories(load(tmp_path))


def test_a_file_that_is_gone_is_told(runs):
    results = load(runs)
    for file in results.runs["file"]:
        (runs / file).unlink()
    with pytest.raises(DataError, match="cannot be repeated"):
        trajectories(results)
