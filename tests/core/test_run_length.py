"""Runs that end after a number of steps, and runs on a part of the training examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from deepobs.errors import ArgumentError
from deepobs.pytorch import testproblems
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.checkpoints import CheckpointPlan
from deepobs.runs.estimate import estimate
from deepobs.runs.progress import summary_of
from deepobs.runs.store import configuration_directory

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification


def of_quadratic(**options: Any) -> RunSpecification:
    """Eight steps an epoch."""
    defaults = {"batch_size": 125, "train_log_interval": 1}
    return specify("quadratic_deep", "SGD", {"lr": 0.01}, **defaults | options)


def test_a_run_ends_after_max_steps_with_an_evaluation() -> None:
    record = run(of_quadratic(max_steps=20)).record
    assert (record.steps, record.steps_per_epoch, record.num_epochs) == (20, 8, 3)
    assert len(record.test_losses) == len(record.train_losses) == 4
    assert len(record.train_seconds) == 3
    assert record.training_params["max_steps"] == 20
    assert "after 20 steps test loss" in summary_of(record)
    whole = run(of_quadratic(num_epochs=3)).record
    assert record.minibatch_train_losses == whole.minibatch_train_losses[:20]
    assert record.test_losses[:3] == whole.test_losses[:3]
    assert record.test_losses[3] != whole.test_losses[3]


def test_a_run_ends_at_what_comes_first() -> None:
    assert run(of_quadratic(max_steps=20, num_epochs=2)).record.steps == 16
    assert run(of_quadratic(max_steps=16, num_epochs=3)).record.num_epochs == 2
    assert run(of_quadratic(max_steps=5, num_epochs=0)).record.steps == 0


def test_the_default_number_of_epochs_does_not_end_a_run_with_max_steps() -> None:
    # Of a problem with 100 epochs by default.
    specification = of_quadratic(max_steps=103, batch_size=1000)
    record = run(specification).record
    assert (record.steps, record.num_epochs) == (103, 103)


def test_a_run_without_max_steps_does_not_mention_it() -> None:
    record = run(of_quadratic(num_epochs=1)).record
    assert record.steps_per_epoch == 8
    assert "max_steps" not in record.training_params
    assert "train_fraction" not in record.training_params
    assert "max_steps" not in record.command


def test_the_directory_states_the_steps(tmp_path: Path) -> None:
    name = configuration_directory(tmp_path, of_quadratic(max_steps=20)).name
    assert name.startswith("max_steps__20__batch_size__125__")
    name = configuration_directory(tmp_path, of_quadratic(max_steps=20, num_epochs=9)).name
    assert name.startswith("num_epochs__9__max_steps__20__batch_size__125__")


class Interruption(RunObserver):
    """Ends a run at the first report within its last epoch."""

    def steps_taken(self, steps: int, metrics: Any) -> None:
        if steps > 200:
            raise KeyboardInterrupt


def test_a_run_with_max_steps_resumes_within_its_last_epoch(tmp_path: Path) -> None:
    specification = of_quadratic(batch_size=5, max_steps=333, train_fraction=0.9)
    with pytest.raises(KeyboardInterrupt):
        run(
            specification,
            output_dir=tmp_path,
            observers=[Interruption()],
            checkpoints=CheckpointPlan(every_seconds=0.0),
        )
    plan = CheckpointPlan(every_seconds=0.0, resume=True)
    resumed = run(specification, output_dir=tmp_path, checkpoints=plan).record
    whole = run(specification).record
    assert resumed.resumed_at_steps
    assert resumed.steps == whole.steps == 333
    assert resumed.test_losses == whole.test_losses
    assert resumed.minibatch_train_losses == whole.minibatch_train_losses


def test_a_diverged_run_with_max_steps_has_full_curves() -> None:
    specification = specify("quadratic_deep", "SGD", {"lr": 1e30}, batch_size=125, max_steps=20)
    record = run(specification).record
    assert record.status == "diverged"
    assert len(record.test_losses) == record.num_epochs + 1 == 4


def test_a_schedule_knows_the_length_of_the_run() -> None:
    scheduler = {
        "name": "LinearLR",
        "arguments": {"total_iters": "num_steps", "end_factor": 0.0, "start_factor": 1.0},
        "every": "step",
    }
    rates: list[float | None] = []

    class Rates(RunObserver):
        def epoch_started(self, epoch: int, learning_rate: float | None) -> None:
            rates.append(learning_rate)

    run(of_quadratic(max_steps=20, lr_scheduler=scheduler), observers=[Rates()])
    assert rates == pytest.approx([0.01, 0.01 * 12 / 20, 0.01 * 4 / 20])


def test_an_estimate_counts_the_steps_of_the_run() -> None:
    estimated = estimate(of_quadratic(max_steps=20), seconds=0.0)
    training = 20 * estimated.step_seconds.mean
    evaluations = 4 * estimated.evaluation_seconds
    expected = estimated.set_up_seconds + training + evaluations
    assert estimated.run_seconds == pytest.approx(expected)


@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_a_number_of_steps_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="max_steps must be"):
        of_quadratic(max_steps=value)


def _rows(fraction: float, split: str = "train_loader", **options: Any) -> set[bytes]:
    problem = testproblems.quadratic_deep(10, device="cpu", train_fraction=fraction, **options)
    problem.set_up()
    batches = [batch[0] for batch in getattr(problem.dataset, split)]
    return {row.numpy().tobytes() for row in torch.cat(batches)}


def test_smaller_fractions_are_part_of_larger_ones_whatever_the_seed() -> None:
    torch.manual_seed(1)
    tenth = _rows(0.1, validation_size=100)
    torch.manual_seed(2)
    half, whole = _rows(0.5, validation_size=100), _rows(1.0, validation_size=100)
    assert (len(tenth), len(half), len(whole)) == (90, 450, 900)
    assert tenth < half < whole
    assert _rows(0.1, "train_eval_loader", validation_size=100) == tenth


def test_a_fraction_leaves_validation_and_test_examples_alone() -> None:
    for split in ("valid_loader", "test_loader"):
        fewer = _rows(0.1, split, validation_size=100)
        assert fewer == _rows(1.0, split, validation_size=100)


def test_a_run_on_a_fraction_says_so() -> None:
    record = run(of_quadratic(num_epochs=1, train_fraction=0.5)).record
    assert record.dataset.split_sizes["train"] == 500
    assert record.training_params["train_fraction"] == 0.5
    assert (record.steps, record.steps_per_epoch) == (4, 4)


@pytest.mark.parametrize("value", [0, -0.1, 1.01, "half", True, float("nan")])
def test_a_fraction_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="train_fraction must be a number above 0"):
        of_quadratic(train_fraction=value)


def test_a_batch_larger_than_the_fraction_is_refused_before_the_data_are_loaded() -> None:
    with pytest.raises(ArgumentError, match="batch_size must be from 1 to 100"):
        of_quadratic(train_fraction=0.1)
