"""Runs that are evaluated after several epochs, or within them."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from interruptions import AT_EVERY_REPORT, Interrupts, interrupt, numbers, resume
from rich.console import Console
from small_classifier import Averages, Classifier
from torch import nn

from deepobs.errors import ArgumentError
from deepobs.plugins import ProblemSpec
from deepobs.runs import RunObserver, environment, run, specify, training
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.checkpoints import CheckpointPlan
from deepobs.runs.estimate import estimate
from deepobs.runs.execution import execute
from deepobs.runs.progress_bars import ProgressBars
from deepobs.runs.run_state import RunState
from deepobs.runs.store import configuration_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

OTHERS = ["2epochs", "5epochs", "1step", "3steps", "8steps", "10steps", "1000steps"]


@pytest.fixture(autouse=True)
def frequent_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs can be interrupted every four steps."""
    monkeypatch.setattr(training, "STEPS_BETWEEN_REPORTS", 4)


def of_quadratic(optimizer: Any = "SGD", **options: Any) -> RunSpecification:
    """Three epochs of eight steps."""
    defaults = {"batch_size": 125, "num_epochs": 3, "train_log_interval": 1}
    return specify("quadratic_deep", optimizer, {"lr": 0.01}, **defaults | options)


class Normalizes(Classifier):
    """A network with batch normalization and dropout, whose evaluation draws random numbers."""

    spec = ProblemSpec(batch_size=5, epochs=3, metric="accuracy")

    def network(self) -> nn.Module:
        return nn.Sequential(
            nn.Linear(2, 8, bias=False),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(8, 2),
        )

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        points, classes = batch
        noisy = points + 0.01 * torch.randn(points.shape)
        return super().get_batch_loss_and_accuracy((noisy, classes), reduction)


def trained(specification: RunSpecification, **arguments: Any) -> tuple[RunRecord, list[Any]]:
    """The record of a run, and what is in its model and its optimizer at the end."""
    with environment.reproducible(specification):
        problem = set_up_problem(specification)
        optimizer = build_optimizer(specification, problem, **arguments)
        state = RunState(specification, problem, optimizer)
        record = execute(state)
        tensors = [*problem.model.state_dict().values(), *problem.model.parameters()]
        return record, [tensor.detach().clone() for tensor in tensors]


def by_step(record: RunRecord, steps_per_epoch: int) -> dict[int, float | None]:
    at = record.evaluated_at_steps
    if at is None:
        at = [epoch * steps_per_epoch for epoch in range(record.num_epochs + 1)]
    return dict(zip(at, record.test_losses, strict=True))


def test_by_default_neither_the_run_nor_its_file_mentions_it(tmp_path: Path) -> None:
    specification = of_quadratic()
    assert specification.run_id == of_quadratic(evaluate_every="1 Epochs").run_id
    result = run(specification, output_dir=tmp_path)
    assert result.path is not None
    assert "evaluate" not in str(result.path)
    assert "evaluated_at_steps" not in json.loads(result.path.read_text())
    assert "evaluate" not in result.path.read_text()


@pytest.mark.parametrize("evaluate_every", OTHERS)
@pytest.mark.parametrize(
    ("problem", "optimizer", "options"),
    [
        ("quadratic_deep", "SGD", {}),
        ("quadratic_deep", "Adam", {"max_steps": 20}),
        (Normalizes, "Momentum", {}),
        ("quadratic_deep", "SGD", {"lr_scheduler": "ExponentialLR"}),
        ("quadratic_deep", "SGD", {"lr_sched_epochs": [1], "lr_sched_factors": [0.1]}),
        ("quadratic_deep", Averages, {}),
    ],
    ids=["plain", "max_steps", "random", "scheduler", "steps", "modes"],
)
def test_training_is_the_same_however_often_it_is_evaluated(
    problem: Any, optimizer: Any, options: dict[str, Any], evaluate_every: str
) -> None:
    if options.get("lr_scheduler"):
        options = {"lr_scheduler": {"name": "ExponentialLR", "arguments": {"gamma": 0.5}}}
    sizes = {} if problem is Normalizes else {"batch_size": 125}
    settings = {"num_epochs": 3, "train_log_interval": 1} | sizes | options
    arguments = {"optimizer_class": optimizer} if isinstance(optimizer, type) else {}
    specification = specify(problem, optimizer, {"lr": 0.01}, **settings)
    usual, weights = trained(specification, **arguments)
    spec = specify(problem, optimizer, {"lr": 0.01}, evaluate_every=evaluate_every, **settings)
    record, others = trained(spec, **arguments)
    assert record.run_id != usual.run_id
    assert all(map(torch.equal, weights, others))
    assert record.minibatch_train_losses == usual.minibatch_train_losses
    assert record.gradient_evaluations == usual.gradient_evaluations
    assert record.steps_per_epoch is not None
    assert record.evaluated_at_steps is not None
    assert record.evaluated_at_steps[0] == 0
    assert record.evaluated_at_steps[-1] == record.steps == usual.steps
    measured, before = (
        by_step(record, record.steps_per_epoch),
        by_step(usual, record.steps_per_epoch),
    )
    shared = measured.keys() & before.keys()
    assert {0, record.steps} <= shared
    assert {step: measured[step] for step in shared} == {step: before[step] for step in shared}


@pytest.mark.parametrize(
    ("evaluate_every", "steps"),
    [
        ("2epochs", [0, 16, 24]),
        ("10steps", [0, 10, 20, 24]),
        ("8steps", [0, 8, 16, 24]),
        ("99epochs", [0, 24]),
    ],
)
def test_the_last_evaluation_always_happens(evaluate_every: str, steps: list[int]) -> None:
    record = run(of_quadratic(evaluate_every=evaluate_every)).record
    assert record.evaluated_at_steps == steps
    assert record.training_params["evaluate_every"] == evaluate_every
    assert len(record.test_losses) == len(record.eval_seconds) == len(steps)
    assert len(record.train_seconds) == record.num_epochs == 3


def test_a_run_of_no_epochs_is_evaluated_once() -> None:
    record = run(of_quadratic(num_epochs=0, evaluate_every="3steps")).record
    assert record.evaluated_at_steps == [0]
    assert len(record.test_losses) == 1


@pytest.mark.parametrize("step", [4, 7, 8, 9, 10, 16, 21])
@pytest.mark.parametrize("evaluate_every", ["2epochs", "3steps", "7steps", "8steps"])
@pytest.mark.parametrize("optimizer", ["Adam", Averages])
def test_a_run_resumes_with_the_same_bits(
    optimizer: Any, evaluate_every: str, step: int, tmp_path: Path
) -> None:
    specification = of_quadratic(optimizer, evaluate_every=evaluate_every)
    arguments = {"optimizer_class": optimizer} if isinstance(optimizer, type) else {}
    undisturbed = run(specification, **arguments).record
    interrupt(specification, tmp_path, Interrupts(step=step), AT_EVERY_REPORT, **arguments)
    resumed = resume(specification, tmp_path, **arguments)
    assert resumed.resumed_at_steps
    assert numbers(resumed) == numbers(undisturbed)


def test_an_epoch_without_an_evaluation_has_a_checkpoint(tmp_path: Path) -> None:
    specification = of_quadratic("Adam", evaluate_every="3epochs")
    interrupt(specification, tmp_path, Interrupts(step=20), CheckpointPlan(every_epochs=1))
    resumed = resume(specification, tmp_path)
    assert resumed.resumed_at_steps == [16]
    assert numbers(resumed) == numbers(run(specification).record)


class Events(RunObserver):
    """Writes down what it is told, and interrupts the run after so many steps."""

    def __init__(self, step: int | None = None) -> None:
        self.told: list[Any] = []
        self._interrupts = Interrupts(step=step)

    def epoch_started(self, epoch: int, learning_rate: float | None) -> None:
        self.told.append(("started", epoch))

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.told.append(("ended", epoch, dict(metrics)))

    def evaluated_within_epoch(self, steps: int, metrics: Mapping[str, float]) -> None:
        self.told.append(("within", steps, dict(metrics)))

    def steps_taken(self, steps: int, metrics: Any) -> None:
        self._interrupts.steps_taken(steps, metrics)


@pytest.mark.parametrize("options", [{}, {"max_steps": 20}])
def test_observers_learn_of_all_evaluations_also_of_a_resumed_run(
    options: dict[str, Any], tmp_path: Path
) -> None:
    specification = of_quadratic(evaluate_every="6steps", **options)
    events, again = Events(), Events()
    run(specification, observers=[events])
    last = [("within", 18), ("ended", 3)]
    assert [each[:2] for each in events.told] == [
        *[("ended", 0), ("started", 0), ("within", 6), ("started", 1), ("within", 12)],
        *[("started", 2), *last],
    ]
    interrupt(specification, tmp_path, Events(step=17), AT_EVERY_REPORT)
    resume(specification, tmp_path, observers=[again])
    assert again.told == events.told


@pytest.mark.parametrize("evaluate_every", ["1epoch", "1step"])
def test_an_evaluation_within_an_epoch_notices_divergence(evaluate_every: str) -> None:
    specification = specify(
        "quadratic_deep", "SGD", {"lr": 1e30}, num_epochs=3, evaluate_every=evaluate_every
    )
    record = run(specification).record
    assert (record.status, record.diverged_at_epoch) == ("diverged", 1)
    assert len(record.train_seconds) == 1
    if evaluate_every == "1step":
        assert record.steps == len(record.minibatch_train_losses) == 1
        assert record.diverged_at_step is None
        assert record.evaluated_at_steps is not None
        assert record.test_losses == record.test_losses[:1] * len(record.evaluated_at_steps)


def test_a_schedule_that_follows_the_loss_is_refused() -> None:
    with pytest.raises(ArgumentError, match="ReduceLROnPlateau follows train_loss after"):
        of_quadratic(lr_scheduler="ReduceLROnPlateau", evaluate_every="2epochs")


@pytest.mark.parametrize("text", ["5", "0steps", "1.5epochs", "10min", "", "-1epoch", 5, None])
def test_what_is_no_number_of_epochs_or_steps_is_refused(text: Any) -> None:
    with pytest.raises(ArgumentError, match="evaluate_every must be a number of epochs or steps"):
        of_quadratic(evaluate_every=text)


def test_the_directory_states_it(tmp_path: Path) -> None:
    name = configuration_directory(tmp_path, of_quadratic(evaluate_every="500 Steps")).name
    assert name.endswith("evaluate_every__500steps")


def test_an_estimate_counts_the_evaluations() -> None:
    estimated = estimate(of_quadratic(evaluate_every="5steps"), seconds=0.0)
    expected = 24 * estimated.step_seconds.mean + 6 * estimated.evaluation_seconds
    assert estimated.run_seconds == pytest.approx(estimated.set_up_seconds + expected)


def test_progress_shows_the_evaluations_within_epochs() -> None:
    bars = ProgressBars(Console(file=io.StringIO()), num_runs=1)
    shown: list[Any] = []

    class Looks(RunObserver):
        def evaluated_within_epoch(self, steps: int, metrics: Mapping[str, float]) -> None:
            (task,) = bars.display.tasks
            shown.append((task.completed, task.total, task.fields["metrics"]))

    record = run(of_quadratic(evaluate_every="10steps", max_steps=22), observers=[bars, Looks()])
    bars.display.stop()
    losses = record.record.test_losses
    assert shown == [(1, 3, f"test loss {losses[1]:.4g}"), (2, 3, f"test loss {losses[2]:.4g}")]


def test_the_command_line_takes_it(command_line: Callable[..., Any], tmp_path: Path) -> None:
    words = "run quadratic_deep SGD --lr 0.01 --epochs 1 --batch-size 125 --evaluate-every 3steps"
    code, _, err = command_line(*words.split(), "--out", str(tmp_path / "here"))
    assert (code, err) == (0, "")
    (path,) = (tmp_path / "here").rglob("*.json")
    assert json.loads(path.read_text())["evaluated_at_steps"] == [0, 3, 6, 8]
    code, _, err = command_line(*words.replace("3steps", "3h").split())
    assert code != 0
    assert "such as 5epochs or 500steps; got '3h'" in " ".join(err.split())
