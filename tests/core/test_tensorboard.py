"""Logs for TensorBoard, read back by TensorBoard itself."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from interruptions import (
    AT_EVERY_REPORT,
    InterruptionError,
    Interrupts,
    interrupt,
    numbers,
    resume,
)
from tensorboard_logs import events_of, hparams, scalars

from deepobs.errors import MissingPackageError, TrackerWarning
from deepobs.runs import reproduction_command, run, specify
from deepobs.runs.checkpoints import CheckpointPlan
from deepobs.runs.store import configuration_directory
from deepobs.runs.trackers import open_trackers
from deepobs.runs.trackers.tensorboard import TensorBoard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification

pytest.importorskip("tensorboard")


def small(optimizer: str = "SGD", hyperparameters: Any = None, **options: Any) -> RunSpecification:
    """Training with 125 steps an epoch."""
    hyperparameters = hyperparameters or {"lr": 0.001}
    options = {"num_epochs": 2, "batch_size": 8} | options
    return specify("quadratic_deep", optimizer, hyperparameters, **options)


def test_metrics_are_there_by_epoch_and_the_objective_by_step(tmp_path: Path) -> None:
    record = run(small(), observers=[TensorBoard(str(tmp_path))]).record
    logged = scalars(tmp_path)
    assert logged.keys() == {"loss/train", "loss/test", "objective/train", "learning_rate"}
    assert list(logged["loss/test"].values()) == pytest.approx(record.test_losses)
    assert list(logged["loss/train"].values()) == pytest.approx(record.train_losses)
    assert list(logged["loss/test"]) == [0, 1, 2]
    assert list(logged["objective/train"]) == [100, 125, 225, 250]
    assert logged["learning_rate"] == pytest.approx({0: 0.001, 1: 0.001})


def test_metrics_are_there_by_step_where_they_are_measured_every_so_many_steps(
    tmp_path: Path,
) -> None:
    specification = small(evaluate_every="50steps", max_steps=240)
    record = run(specification, observers=[TensorBoard(str(tmp_path))]).record
    logged = scalars(tmp_path)
    assert list(logged["loss/test"]) == record.evaluated_at_steps == [0, 50, 100, 150, 200, 240]
    assert list(logged["loss/test"].values()) == pytest.approx(record.test_losses)


def test_a_run_has_the_directory_of_its_setting_and_seed(tmp_path: Path) -> None:
    specification = small(num_epochs=0, random_seed=7)
    run(specification, observers=[TensorBoard(str(tmp_path))])
    (file,) = tmp_path.rglob("events.out.tfevents.*")
    assert file.parent == configuration_directory(tmp_path, specification) / "random_seed__7"


def test_the_command_and_the_hyperparameters_are_there(tmp_path: Path) -> None:
    specification = small(
        "Adam",
        {"lr": 0.01, "betas": (0.8, 0.9), "amsgrad": True},
        num_epochs=0,
        lr_scheduler={"name": "StepLR", "arguments": {"step_size": 3}, "every": "step"},
    )
    run(specification, observers=[TensorBoard(str(tmp_path))])
    (text,) = events_of(tmp_path).Tensors("reproduce/text_summary")
    assert text.tensor_proto.string_val == [f"    {reproduction_command(specification)}".encode()]
    start = hparams(tmp_path, "start")
    assert start.hparams["testproblem"].string_value == "quadratic_deep"
    assert start.hparams["optimizer"].string_value == "Adam"
    assert start.hparams["lr"].number_value == 0.01
    assert start.hparams["amsgrad"].bool_value is True
    assert start.hparams["betas"].string_value == "[0.8, 0.9]"
    assert start.hparams["lr_schedule"].string_value == "StepLR(step_size=3) every step"
    assert hparams(tmp_path, "end").status == 1  # success


def test_seeds_of_a_setting_are_compared_as_a_group(tmp_path: Path) -> None:
    groups = []
    for seed, rate in ((1, 0.1), (2, 0.1), (1, 0.2)):
        directory = tmp_path / f"{seed} {rate}"
        specification = small("SGD", {"lr": rate}, num_epochs=0, random_seed=seed)
        run(specification, observers=[TensorBoard(str(directory))])
        groups.append(hparams(directory, "start").group_name)
    assert groups[0] == groups[1] != groups[2]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"lr_sched_epochs": [1], "lr_sched_factors": [0.1]}, [8e-4, 8e-5, 8e-5]),
        ({"lr_scheduler": {"name": "StepLR", "arguments": {"step_size": 2}}}, [8e-4, 8e-4, 8e-5]),
        (
            {
                "lr_scheduler": {
                    "name": "LinearLR",
                    "arguments": {"start_factor": 0.25, "total_iters": 250},
                    "every": "step",
                }
            },
            [2e-4, 5e-4, 8e-4],  # a quarter, and the rest in two epochs of 125 steps
        ),
    ],
)
def test_the_learning_rate_follows_the_schedule(
    tmp_path: Path, options: dict[str, Any], expected: list[float]
) -> None:
    specification = small("SGD", {"lr": 8e-4}, num_epochs=3, **options)
    run(specification, observers=[TensorBoard(str(tmp_path))])
    assert list(scalars(tmp_path)["learning_rate"].values()) == pytest.approx(expected)


class FollowsTheWeights(torch.optim.lr_scheduler.LRScheduler):
    """A scheduler whose rates depend on more than the specification."""

    def get_lr(self) -> list[float | torch.Tensor]:
        return [float(group["params"][0].detach().norm()) for group in self.optimizer.param_groups]


def test_the_learning_rate_of_any_scheduler_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "own_schedulers", sys.modules[__name__])
    own = "own_schedulers:FollowsTheWeights"
    run(small(num_epochs=1, lr_scheduler=own), observers=[TensorBoard(str(tmp_path))])
    (rate,) = scalars(tmp_path)["learning_rate"].values()
    assert rate > 0


def test_a_run_measures_the_same_whether_it_is_logged_or_not(tmp_path: Path) -> None:
    specification = specify("two_d_branin", "SGD", {"lr": 0.001}, num_epochs=2)
    logged = run(specification, observers=[TensorBoard(str(tmp_path))]).record
    assert numbers(logged) == numbers(run(specification).record)


def test_a_run_that_diverges_is_logged_as_a_failure(tmp_path: Path) -> None:
    record = run(small("SGD", {"lr": 1e30}), observers=[TensorBoard(str(tmp_path))]).record
    assert record.status == "diverged"
    (objective,) = scalars(tmp_path)["objective/train"].values()
    assert objective != objective or objective in (float("inf"), float("-inf"))
    assert hparams(tmp_path, "end").status == 2  # failure


@pytest.mark.parametrize("at", [{"step": 225}, {"epoch": 1}])
@pytest.mark.parametrize(
    "plan", [AT_EVERY_REPORT, CheckpointPlan(every_epochs=1)], ids=["as logged", "behind the log"]
)
def test_a_resumed_run_has_every_step_and_epoch_once(
    tmp_path: Path, at: dict[str, int], plan: CheckpointPlan
) -> None:
    specification = small(num_epochs=3)
    observer = TensorBoard(str(tmp_path / "logs"))
    run(specification, observers=[TensorBoard(str(tmp_path / "undisturbed"))])
    interrupt(specification, tmp_path, _Both(observer, Interrupts(**at)), plan)
    resume(specification, tmp_path, observers=[observer])
    assert scalars(tmp_path / "logs") == scalars(tmp_path / "undisturbed")


class _Both(Interrupts):
    """Logs what happens before it ends a run."""

    def __init__(self, observer: TensorBoard, interrupts: Interrupts) -> None:
        super().__init__(step=interrupts.step, epoch=interrupts.epoch)
        self._observer = observer
        self.run_started = observer.run_started
        self.run_failed = observer.run_failed

    def steps_taken(self, steps: int, metrics: Any) -> None:
        self._observer.steps_taken(steps, metrics)
        super().steps_taken(steps, metrics)

    def epoch_ended(self, epoch: int, metrics: Any) -> None:
        self._observer.epoch_ended(epoch, metrics)
        super().epoch_ended(epoch, metrics)


def test_a_run_that_is_done_again_replaces_its_log(tmp_path: Path) -> None:
    for _ in range(2):
        run(small(), observers=[TensorBoard(str(tmp_path))])
    assert list(scalars(tmp_path)["loss/test"]) == [0, 1, 2]
    assert list(scalars(tmp_path)["objective/train"]) == [100, 125, 225, 250]


def test_an_observer_is_pickled_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    observer = pickle.loads(pickle.dumps(TensorBoard("logs")))  # noqa: S301
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run(small(num_epochs=0), observers=[observer])
    assert list(scalars(tmp_path / "logs")["loss/test"]) == [0]


def test_the_command_line_logs_a_run(command_line: Callable[..., Any], tmp_path: Path) -> None:
    code, _, err = command_line(
        *("run", "quadratic_deep", "SGD", "--lr", "0.001", "--epochs", "1"),
        *("--track", "tensorboard=logs"),
    )
    assert (code, err) == (0, "")
    assert list(scalars(tmp_path / "logs")["loss/test"]) == [0, 1]


def test_without_tensorboard_nothing_is_run(
    command_line: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    code, out, err = command_line("run", "quadratic_deep", "SGD", "--track", "tensorboard=logs")
    assert code == 2
    assert out == ""
    assert "pip install 'deepobs-core[tensorboard]'" in err
    assert not list(tmp_path.iterdir())
    with pytest.raises(MissingPackageError):
        TensorBoard("logs")


def test_a_directory_that_cannot_be_made_is_named_before_the_run(
    command_line: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "logs").touch()
    code, out, err = command_line("run", "quadratic_deep", "SGD", "--track", "tensorboard=logs")
    assert (code, out) == (2, "")
    assert f"Logs for TensorBoard cannot be written to {tmp_path / 'logs'}" in err


def test_a_run_goes_on_where_its_log_cannot_be_written(tmp_path: Path) -> None:
    (observer,) = open_trackers(f"tensorboard={tmp_path}")
    (tmp_path / "quadratic_deep").touch()
    with pytest.warns(TrackerWarning, match="tensorboard failed.*cannot be written"):
        assert run(small(num_epochs=0), observers=[observer]).record.status == "completed"


def test_the_norm_of_gradients_is_logged_where_it_is_recorded(tmp_path: Path) -> None:
    record = run(
        small(log_gradient_norm=True, train_log_interval=1), observers=[TensorBoard(str(tmp_path))]
    ).record
    assert record.gradient_norms is not None
    expected = {step: record.gradient_norms[step - 1] for step in (100, 125, 225, 250)}
    assert scalars(tmp_path)["gradient_norm"] == pytest.approx(expected)


def test_a_run_that_fails_is_logged_as_a_failure(tmp_path: Path) -> None:
    with pytest.raises(InterruptionError):
        run(small(), observers=[TensorBoard(str(tmp_path)), Interrupts(step=100)])
    assert hparams(tmp_path, "end").status == 2


def test_nothing_imports_tensorboard_unasked() -> None:
    program = (
        "import sys, deepobs.runs.trackers.tensorboard\nfrom deepobs.cli.main import main\n"
        "main(['run', '--help'])\nsys.exit('tensorboard' in sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")
