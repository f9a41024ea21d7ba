"""Results of runs that were evaluated within epochs, or after several."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deepobs.runs import run, specify
from deepobs_analysis import load, select
from deepobs_analysis.plots.curves import performance
from deepobs_analysis.summaries import summarize
from deepobs_analysis.targets import times_to_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.records import RunRecord


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., RunRecord]:
    """Writes the result of a run of three epochs of eight steps."""

    def write(rate: float = 0.01, **options: Any) -> RunRecord:
        defaults = {"batch_size": 125, "num_epochs": 3}
        specification = specify("quadratic_deep", "SGD", {"lr": rate}, **defaults | options)
        return run(specification, output_dir=tmp_path).record

    return write


def test_every_value_has_its_epoch_and_its_step(
    written: Callable[..., RunRecord], tmp_path: Path
) -> None:
    record = written(evaluate_every="6steps")
    for _ in range(2):  # from the file, and from the cache
        results = load(tmp_path)
        (row,) = results.runs.to_dict("records")
        assert row["evaluated_at"].tolist() == [0, 0.75, 1.5, 2.25, 3]
        curves = results.curves()
        of_test = curves[(curves["split"] == "test") & (curves["metric"] == "loss")]
        assert of_test["epoch"].tolist() == [0, 0.75, 1.5, 2.25, 3]
        assert of_test["step"].tolist() == [0, 6, 12, 18, 24]
        assert of_test["value"].tolist() == record.test_losses


def test_epochs_are_whole_numbers_where_all_evaluations_follow_one(
    written: Callable[..., RunRecord], tmp_path: Path
) -> None:
    written()
    results = load(tmp_path)
    assert results.runs["evaluated_at"].iloc[0].tolist() == [0, 1, 2, 3]
    assert results.runs["problem"].tolist() == ["quadratic_deep"]
    assert results.curves()["epoch"].dtype == np.int64


@pytest.mark.parametrize("options", [{}, {"max_steps": 20}])
@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
def test_a_target_is_reached_at_an_evaluation(
    written: Callable[..., RunRecord], tmp_path: Path, place: int, options: dict[str, Any]
) -> None:
    record = written(evaluate_every="5steps", **options)
    results = load(tmp_path)
    (selection,) = select(results)
    assert record.evaluated_at_steps is not None
    target = record.test_losses[place]
    assert target is not None
    assert sorted(record.test_losses, reverse=True) == record.test_losses  # type: ignore[type-var]
    (epochs,) = times_to_target(selection, target)
    steps = record.evaluated_at_steps[place]
    assert epochs == steps / 8
    assert times_to_target(selection, target, "steps").tolist() == [steps]
    assert times_to_target(selection, target, "gradient evaluations").tolist() == [steps]
    bounds = [0.0, 1.0, 2.0, record.steps / 8]
    seconds = np.concatenate([[0], np.cumsum(record.train_seconds)])
    expected = float(np.interp(epochs, bounds, seconds))
    assert times_to_target(selection, target, "seconds").tolist() == pytest.approx([expected])


def test_a_target_that_no_evaluation_reaches_takes_forever(
    written: Callable[..., RunRecord], tmp_path: Path
) -> None:
    written(evaluate_every="2epochs")
    (selection,) = select(load(tmp_path))
    for unit in ("epochs", "steps", "seconds"):
        assert times_to_target(selection, 0.0, unit).tolist() == [math.inf]  # type: ignore[arg-type]


def test_runs_that_are_evaluated_at_other_times_are_compared_separately(
    written: Callable[..., RunRecord], tmp_path: Path
) -> None:
    for every in ("1epoch", "2epochs", "5steps"):
        written(evaluate_every=every)
    assert sorted(load(tmp_path).runs["problem"]) == [
        f"quadratic_deep (evaluate every = {every})" for every in ("1epoch", "2epochs", "5steps")
    ]
    together = load(tmp_path, across_protocols=True).runs
    assert set(together["problem"]) == {"quadratic_deep"}
    assert together["configuration"].nunique() == 3


def test_the_last_and_the_best_evaluation_are_those_of_the_file(
    written: Callable[..., RunRecord], tmp_path: Path
) -> None:
    records = [written(rate, evaluate_every="3steps") for rate in (0.01, 0.02)]
    best = min(records, key=lambda record: min(record.test_losses))  # type: ignore[type-var, arg-type]
    for mode in ("final", "best"):
        (selection,) = select(load(tmp_path), mode=mode)  # type: ignore[arg-type]
        assert selection.final().tolist() == [best.test_losses[-1]]
        assert selection.best().tolist() == [min(best.test_losses)]  # type: ignore[type-var]
    assert summarize(load(tmp_path))[0].final.mean == best.test_losses[-1]


def test_a_diverged_seed_counts_among_the_others(
    written: Callable[..., RunRecord], tmp_path: Path
) -> None:
    for seed, rate in ((1, 0.01), (2, 1e30)):
        record = written(evaluate_every="3steps", random_seed=seed, rate=rate)
        assert len(record.test_losses) == 9
    runs = load(tmp_path).runs
    assert runs["has_diverged"].tolist() == [False, True]
    assert {len(at) for at in runs["evaluated_at"]} == {9}


def test_curves_are_drawn_over_the_epochs_of_evaluations(
    written: Callable[..., RunRecord], tmp_path: Path
) -> None:
    record = written(evaluate_every="6steps", max_steps=20)
    figure = performance(load(tmp_path))
    lines = [line for axes in figure.axes for line in axes.lines if len(line.get_xdata()) == 5]
    assert {tuple(line.get_xdata()) for line in lines} == {(0, 0.75, 1.5, 2.25, 2.5)}
    assert any(line.get_ydata().tolist() == record.test_losses for line in lines)
    assert {axes.get_xlim() for axes in figure.axes if axes.lines} == {(0, 2.5)}


@pytest.mark.parametrize(
    "steps", [[], [3, 6, 12, 24], [0, 6, 6, 24], [0, 6, 12, 99], [0, 6, 24], "all", None]
)
def test_a_file_whose_evaluations_contradict_it_is_skipped(
    written: Callable[..., RunRecord], tmp_path: Path, steps: Any
) -> None:
    written(evaluate_every="8steps")
    (path,) = tmp_path.rglob("*.json")
    content = json.loads(path.read_text())
    content["evaluated_at_steps"] = steps
    if steps is None:  # as after every epoch, of which there are as many
        content["num_epochs"] = 4
    path.write_text(json.dumps(content))
    results = load(tmp_path)
    assert len(results.runs) == 0
    assert len(results.skipped) == 1


def test_norms_of_gradients_have_their_step(
    written: Callable[..., RunRecord], tmp_path: Path
) -> None:
    record = written(log_gradient_norm=True, train_log_interval=3, max_steps=20)
    for _ in range(2):  # from the file, and from the cache
        curves = load(tmp_path).curves()
        norms = curves[curves["metric"] == "gradient_norm"]
        # Eight steps an epoch, of which the last has four.
        assert norms["step"].tolist() == [0, 3, 6, 8, 11, 14, 16, 19]
        assert norms["epoch"].tolist() == [step / 8 for step in norms["step"]]
        assert norms["value"].tolist() == record.gradient_norms
    assert set(curves["metric"]) == {"loss", "gradient_norm"}
