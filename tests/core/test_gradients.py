"""Gradients that are accumulated, scaled, clipped and recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from accumulated_gradients import assert_equal_gradients
from small_classifier import Classifier
from torch import Tensor, nn

from deepobs import config
from deepobs.errors import ArgumentError, TrainingWarning
from deepobs.problems import Problem
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.checkpoints import CheckpointPlan

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification


def of_quadratic(optimizer: Any = "SGD", rate: float = 0.01, **options: Any) -> RunSpecification:
    """Eight steps an epoch."""
    defaults = {"batch_size": 125, "train_log_interval": 1, "num_epochs": 2}
    return specify("quadratic_deep", optimizer, {"lr": rate}, **defaults | options)


class Regularized(Classifier):
    """Has a regularizer that is as large as its loss."""

    def get_regularization_loss(self) -> Tensor:
        return 0.5 * sum(one.square().sum() for one in self.model.parameters())


class Masked(Classifier):
    """Averages over the points in the right half of the plane, of which each part has others."""

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        points, classes = batch
        chosen = points[:, 0] > 0
        losses = nn.functional.cross_entropy(self.model(points), classes, reduction="none")
        return (losses * chosen).sum() / chosen.sum(), None

    def batch_weight(self, batch: Any) -> int:
        return int((batch[0][:, 0] > 0).sum())


class Normalized(Classifier):
    def network(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


class Carrying(Classifier):
    def carried_state(self) -> Any:
        return None

    def restore_carried_state(self, state: Any, batch: Any) -> None:
        pass


@pytest.mark.parametrize("problem", ["quadratic_deep", "two_d_beale", "two_d_branin"])
@pytest.mark.parametrize("parts", [2, 3, 7, 10])
def test_micro_batches_have_the_gradient_of_the_batch(problem: str, parts: int) -> None:
    assert_equal_gradients(problem, parts, batch_size=10)


@pytest.mark.parametrize("problem", [Classifier, Regularized, Masked])
@pytest.mark.parametrize("parts", [2, 3])
def test_micro_batches_count_by_what_the_mean_is_over(problem: Any, parts: int) -> None:
    # The models of these have their type from the global default.
    torch.set_default_dtype(torch.float32)
    assert_equal_gradients_of_floats(problem, parts)


def assert_equal_gradients_of_floats(problem: Any, parts: int) -> None:
    config.set_default_device("cpu")
    options = {"batch_size": 10, "num_epochs": 3, "train_log_interval": 1}
    whole, added = (
        run(specify(problem, "SGD", {"lr": 0.5}, accumulate=count, **options)).record
        for count in (1, parts)
    )
    assert added.minibatch_train_losses == pytest.approx(whole.minibatch_train_losses, rel=1e-5)
    assert added.test_losses == pytest.approx(whole.test_losses, rel=1e-5)
    assert added.gradient_evaluations == whole.gradient_evaluations
    assert added.training_params["accumulate"] == parts


class LossValue(torch.optim.SGD):
    """Needs the value of the objective."""

    def step(self, loss: Any) -> None:  # type: ignore[override]
        assert float(loss) > 0
        super().step()


@pytest.mark.parametrize("optimizer", ["LBFGS", LossValue])
def test_other_kinds_of_steps_accumulate(optimizer: Any) -> None:
    config.set_dtype(torch.float64)
    whole, added = (run(of_quadratic(optimizer, accumulate=count)).record for count in (1, 3))
    assert added.minibatch_train_losses == pytest.approx(whole.minibatch_train_losses, rel=1e-6)
    assert added.gradient_evaluations == whole.gradient_evaluations


class LineSearch(torch.optim.SGD):
    """Asks for values without gradients before its step."""

    def step(self, closure: Any) -> None:  # type: ignore[override]
        objective = closure()
        with torch.no_grad():
            assert float(closure(backward=False)) == pytest.approx(float(objective), rel=1e-6)
        super().step()


def test_line_searches_evaluate_micro_batches(tmp_path: Path) -> None:
    whole, added = (run(of_quadratic(LineSearch, accumulate=count)).record for count in (1, 3))
    assert added.test_losses == pytest.approx(whole.test_losses, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "needs", "message"),
    [
        ({"accumulate": 2}, "per_example_losses", "computes the gradients itself"),
        ({"accumulate": 2}, "create_graph", "whose graphs would be kept for the whole batch"),
        ({"clip_norm": 1.0}, "create_graph", "differentiates the gradients"),
        ({"clip_value": 1.0}, "per_example_losses", "clip_value=1.0 does not work with SGD"),
        ({"log_gradient_norm": True}, "per_example_losses", "computes the gradients itself"),
        ({"precision": "fp16"}, "closure", "of which a scaler can skip none"),
        ({"compile_mode": "default"}, "create_graph", "compiled models do not support"),
    ],
)
def test_what_the_step_of_an_optimizer_excludes_is_refused(
    options: dict[str, Any], needs: str, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        of_quadratic(needs=[needs], **options)


def test_a_state_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(ArgumentError, match="carries a state from batch to batch, and has no"):
        run(specify(Carrying, "SGD", {"lr": 0.1}, accumulate=2))


class WithScalars(Classifier):
    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        return super().get_batch_loss_and_accuracy(batch[:2], reduction)

    def set_up(self) -> None:
        super().set_up()
        whole = list(self.dataset.train_loader)
        self.dataset.train_loader = [(*batch, torch.ones(())) for batch in whole]


def test_a_batch_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"the shapes \[\(10, 2\), \(10,\), \(\)\]"):
        run(specify(WithScalars, "SGD", {"lr": 0.1}, accumulate=2))


def test_batch_normalization_of_micro_batches_is_said() -> None:
    specification = specify(Normalized, "SGD", {"lr": 0.1}, accumulate=2)
    with pytest.warns(TrainingWarning, match="normalizes each micro-batch of 5 examples"):
        run(specification)


def test_gradients_are_clipped_to_a_norm_and_recorded_before() -> None:
    record = run(of_quadratic(rate=1.0, num_epochs=1, clip_norm=0.5)).record
    assert record.gradient_norms is not None
    assert len(record.gradient_norms) == len(record.minibatch_train_losses) == 8
    assert min(record.gradient_norms) > 0.5
    plain = run(of_quadratic(rate=1.0, num_epochs=1, max_steps=1, log_gradient_norm=True)).record
    assert plain.gradient_norms == record.gradient_norms[:1]
    assert "clip_norm" not in plain.training_params
    assert record.training_params["clip_norm"] == 0.5
    norm = record.gradient_norms[0]
    scaled = run(of_quadratic(rate=0.5 / norm, num_epochs=1, max_steps=1)).record
    clipped = run(of_quadratic(rate=1.0, num_epochs=1, max_steps=1, clip_norm=0.5)).record
    assert clipped.test_losses == pytest.approx(scaled.test_losses, rel=1e-5)


def test_gradients_are_clipped_to_a_value() -> None:
    class Watched(torch.optim.SGD):
        largest: ClassVar[list[float]] = []

        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            gradients = [p.grad for group in self.param_groups for p in group["params"]]
            self.largest.append(max(float(one.abs().max()) for one in gradients))
            super().step(closure)

    run(of_quadratic(Watched, clip_value=0.25))
    assert Watched.largest
    assert max(Watched.largest) == 0.25


def test_norms_are_recorded_where_losses_are() -> None:
    every = run(of_quadratic(log_gradient_norm=True, num_epochs=3)).record
    some = run(of_quadratic(log_gradient_norm=True, num_epochs=3, train_log_interval=3)).record
    assert len(some.minibatch_train_losses) == len(some.gradient_norms) == 9
    assert some.gradient_norms == [
        norm for e in range(3) for norm in every.gradient_norms[8 * e : 8 * e + 8 : 3]
    ]
    plain = run(of_quadratic(num_epochs=3)).record
    assert every.test_losses == plain.test_losses
    assert plain.gradient_norms is None
    assert "gradient_norms" not in plain.to_json()


def test_a_closure_that_is_called_often_has_a_norm_a_step() -> None:
    record = run(of_quadratic("LBFGS", log_gradient_norm=True, num_epochs=1)).record
    assert record.gradient_evaluations > 8
    assert len(record.gradient_norms) == 8


def test_the_first_scaled_steps_in_float16_can_be_skipped() -> None:
    record = run(of_quadratic(precision="fp16", batch_size=20, max_steps=30)).record
    assert record.skipped_steps is not None
    assert 0 < record.skipped_steps < 10
    assert record.steps == 30
    assert record.test_losses[-1] < record.test_losses[0] / 2
    assert run(of_quadratic(precision="bf16")).record.skipped_steps is None


def test_a_scheduler_advances_with_skipped_steps() -> None:
    scheduler = {"name": "LinearLR", "every": "step"}
    options = {"batch_size": 20, "max_steps": 30, "lr_scheduler": scheduler}
    record = run(of_quadratic(precision="fp16", **options)).record
    assert record.skipped_steps


class Interruption(RunObserver):
    def __init__(self, at_step: int) -> None:
        self.at_step = at_step

    def steps_taken(self, steps: int, metrics: Any) -> None:
        if steps >= self.at_step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at_step", [3, 11])
@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bf16"},
        {"precision": "fp16", "clip_norm": 2.0, "batch_size": 20, "max_steps": 16},
        {"accumulate": 3, "clip_value": 1.0},
        {"log_gradient_norm": True, "train_log_interval": 3},
    ],
)
def test_runs_with_options_of_steps_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], at_step: int
) -> None:
    monkeypatch.setattr("deepobs.runs.training.STEPS_BETWEEN_REPORTS", 1)
    specification = of_quadratic(**options)
    whole = run(specification).record
    with pytest.raises(KeyboardInterrupt):
        run(
            specification,
            output_dir=tmp_path,
            checkpoints=CheckpointPlan(every_seconds=0.0),
            observers=[Interruption(at_step)],
        )
    plan = CheckpointPlan(every_seconds=0.0, resume=True)
    resumed = run(specification, output_dir=tmp_path, checkpoints=plan).record
    assert resumed.resumed_at_steps
    for name in ("minibatch_train_losses", "test_losses", "gradient_norms", "skipped_steps"):
        assert getattr(resumed, name) == getattr(whole, name)
    assert resumed.gradient_evaluations == whole.gradient_evaluations


def test_a_problem_of_ours_that_carries_a_state_must_say_how_to_split() -> None:
    assert Problem.split_batch(None, (torch.arange(5),), 3)[0][0].tolist() == [0, 1]  # type: ignore[arg-type]
