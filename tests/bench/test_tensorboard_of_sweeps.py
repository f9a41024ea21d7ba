"""Runs of sweeps and tunings write logs for TensorBoard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from tensorboard_logs import scalars

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("tensorboard")

EXPERIMENT = (
    'problems = ["quadratic_deep"]\noptimizers = ["SGD"]\nseeds = [1, 2]\ndefaults.epochs = 1'
)


def test_runs_in_processes_of_their_own_are_logged(
    command_line: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    code, _, err = command_line(
        *("bench", "experiment.toml", "--no-estimate", "--jobs", "2", "--track", "tensorboard=logs")
    )
    assert (code, err) == (0, "")
    (setting,) = (tmp_path / "logs" / "quadratic_deep" / "SGD").iterdir()
    assert sorted(path.name for path in setting.iterdir()) == ["random_seed__1", "random_seed__2"]
    logged = [scalars(path)["loss/test"] for path in sorted(setting.iterdir())]
    assert [list(losses) for losses in logged] == [[0, 1], [0, 1]]
    assert logged[0] != logged[1]


def test_a_dry_run_logs_nothing(command_line: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    command_line(
        *("bench", "experiment.toml", "--no-estimate", "--dry-run", "--track", "tensorboard=logs")
    )
    assert not (tmp_path / "logs").exists()


def test_trials_of_a_tuning_are_logged(command_line: Callable[..., Any], tmp_path: Path) -> None:
    code, _, _ = command_line(
        *("tune", "quadratic_deep", "SGD", "--space", "lr=0.001,0.002", "--sampler", "grid"),
        *("--epochs", "1", "--report-seeds", "5", "--executor", "serial"),
        *("--track", "tensorboard=logs"),
    )
    assert code == 0
    assert len(list((tmp_path / "logs").rglob("events.out.tfevents.*"))) == 3


@pytest.mark.parametrize(
    "command",
    [
        ["bench", "experiment.toml", "--no-estimate"],
        ["tune", "quadratic_deep", "SGD", "--space", "lr=0.001", "--sampler", "grid"],
    ],
)
def test_without_tensorboard_nothing_is_run(
    command_line: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    code, out, err = command_line(*command, "--track", "tensorboard=logs")
    assert code == 2
    assert out == ""
    assert "pip install 'deepobs-core[tensorboard]'" in err
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.toml"]


def test_a_tracker_that_fails_in_workers_is_warned_of_once(
    command_line: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "quadratic_deep").touch()  # in place of a directory
    code, _, err = command_line(
        *("bench", "experiment.toml", "--no-estimate", "--jobs", "2"),
        *("--track", "tensorboard=logs"),
    )
    assert code == 0
    assert err.count("The tracker tensorboard failed") == 1
    assert len(list((tmp_path / "results").rglob("random_seed__*.json"))) == 2


def test_runs_that_are_trained_together_are_logged_apart(
    command_line: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "experiment.toml").write_text(
        'problems = ["quadratic_deep"]\nseeds = [1]\ndefaults.epochs = 1\n'
        "[optimizers.SGD]\ngrid.lr = [0.001, 0.002]"
    )
    code, _, err = command_line(
        *("bench", "experiment.toml", "--no-estimate", "--executor", "packed"),
        *("--track", "tensorboard=logs"),
    )
    assert (code, err) == (0, "")
    settings = sorted((tmp_path / "logs" / "quadratic_deep" / "SGD").iterdir())
    logged = [scalars(path)["loss/test"] for path in settings]
    assert [list(losses) for losses in logged] == [[0, 1], [0, 1]]
    assert logged[0][1] != logged[1][1]
