"""Recorded iterates on functions of two variables."""

from __future__ import annotations

import pytest
from result_files import write_result

from deepobs.errors import ArgumentError
from deepobs.runs import run, specify
from deepobs_analysis import load
from deepobs_analysis.plots.trajectories import trajectories

PATHS = {
    "SGD": [[-0.5, 1.5], [0.0, 0.5], [0.5, 0.3]],
    "Adam": [[-0.5, 1.5], [0.5, 1.0], [0.9, 0.8]],
}


def write_iterates(directory, optimizer, iterates, **options):
    write_result(
        directory,
        problem="two_d_rosenbrock",
        optimizer=optimizer,
        test_losses=[9.0] * len(iterates),
        iterates=iterates,
        **options,
    )


@pytest.fixture
def runs(tmp_path):
    for optimizer, iterates in PATHS.items():
        write_iterates(tmp_path / "results", optimizer, iterates)
    return tmp_path / "results"


def test_iterates_are_read_and_kept_in_the_cache(runs):
    for results in (load(runs), load(runs), load(runs, cache=False)):
        found = dict(zip(results.runs["optimizer"], results.runs["iterates"], strict=True))
        assert {name: points.tolist() for name, points in found.items()} == PATHS


def test_a_run_records_the_iterates_at_its_evaluations(tmp_path):
    run(specify("two_d_rosenbrock", "SGD", {"lr": 1e-4}, num_epochs=2), output_dir=tmp_path)
    ((_, each),) = load(tmp_path).runs.iterrows()
    assert each["iterates"].shape == (3, 2)
    assert each["iterates"][0].tolist() == [-0.5, 1.5]
    u, v = each["iterates"][-1]
    assert (1 - u) ** 2 + 100 * (v - u**2) ** 2 == pytest.approx(each["test_losses"][-1], rel=1e-5)


def test_each_problem_has_the_paths_of_its_optimizers(runs):
    figure = trajectories(load(runs))
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "two_d_rosenbrock"
    drawn = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xdata()) == 3]
    assert sorted(drawn) == sorted(PATHS.values())
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert left < -0.5 < 1 < right
    assert low < 0.3 < 1.5 < high
    assert len(axes.collections) == 1  # the contour lines


def test_a_run_that_diverged_ends_where_it_was_last_finite(tmp_path):
    iterates = [[-0.5, 1.5], [3.0, 9.0], [None, None]]
    write_iterates(tmp_path, "SGD", iterates, status="diverged", diverged_at_epoch=2)
    (points,) = load(tmp_path).runs["iterates"]
    assert points.tolist() == iterates[:2]
    notes = trajectories(load(tmp_path)).notes
    assert "Diverged, drawn as far as it is finite: SGD on two_d_rosenbrock." in notes


def test_runs_without_iterates_get_the_command_that_records_them(runs):
    write_result(runs, problem="two_d_beale", command="deepobs run two_d_beale SGD")
    note = " ".join(trajectories(load(runs)).get_supxlabel().split())
    assert "Some runs have no iterates; `deepobs run two_d_beale SGD --overwrite`" in note


def test_other_problems_and_other_formats_have_no_iterates(tmp_path):
    write_result(tmp_path)
    write_result(tmp_path, problem="two_d_beale", layout="1.2")
    with pytest.raises(ArgumentError, match="deepobs run two_d_rosenbrock SGD --lr"):
        trajectories(load(tmp_path))


@pytest.mark.parametrize("iterates", [3, [], [1.0, 2.0], [[1.0]], [["a", "b"]]])
def test_broken_iterates_make_a_file_no_result(iterates, tmp_path):
    write_result(tmp_path, iterates=iterates)
    (skipped,) = load(tmp_path).skipped
    assert skipped.reason.startswith("iterates is not a list of")
