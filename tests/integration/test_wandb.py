"""Runs in Weights & Biases, offline, read back by its command `wandb leet inspect`."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tracked_runs import expected, interrupt_and_resume, small

from deepobs.errors import OutputError
from deepobs.runs import reproduction_command, run
from deepobs.runs.trackers import open_trackers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("wandb", reason="the package wandb is not installed")

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty directory, without a connection."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_DIR", "WANDB_PROJECT", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def files(directory: Path) -> list[Path]:
    """The files of all executions, in order."""
    found = (directory / "wandb").glob("offline-run-*/run-*.wandb")
    return sorted(found, key=lambda path: path.stat().st_mtime)


def content(file: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def parts(file: Path, kind: str) -> list[dict[str, Any]]:
    return [record[kind] for record in content(file) if record["type"] == kind]


def series(those: list[Path]) -> dict[str, dict[int, float]]:
    """Values by metric and step; of a step in several files, those must agree."""
    found: dict[str, dict[int, float]] = {}
    for file in those:
        for history in parts(file, "history"):
            row = history["item"]
            for name in row:
                if not name.startswith("_"):
                    value = float(row[name])  # not a number and infinity are texts there
                    before = found.setdefault(name, {}).setdefault(row["_step"], value)
                    assert repr(before) == repr(value)  # also where it is not a number
    return found


def summary(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in parts(file, "summary"):
        found |= one.get("update", {})
    return found


def test_a_run_and_its_result_are_there(tmp_path: Path) -> None:
    specification = small()
    record = run(specification, observers=open_trackers("wandb=mine")).record
    (file,) = files(tmp_path)
    assert series([file]) == {name: pytest.approx(ones) for name, ones in expected(record).items()}
    (started,) = parts(file, "run")
    assert (started["run_id"], started["project"]) == (record.run_id, "mine")
    assert started["display_name"] == "SGD on quadratic_deep, lr = 0.001, seed 42"
    config = started["config"]["update"]
    assert config["lr"] == 0.001
    assert config["deepobs"]["command"] == reproduction_command(specification)
    assert config["deepobs"]["version.torch"] == record.versions["torch"]
    assert summary(file)["status"] == "completed"
    assert parts(file, "exit")[0].get("exit_code", 0) == 0
    (result,) = parts(file, "artifact")
    (entry,) = result["manifest"]["contents"]
    assert entry["path"] == "random_seed__42.json"
    assert int(entry["size"]) == len(record.to_json().encode())


def test_a_resumed_run_has_one_id_and_everything(tmp_path: Path) -> None:
    record = interrupt_and_resume(small(), tmp_path / "results", "wandb")
    before, after = files(tmp_path)
    logged = series([before, after])
    assert logged == {name: pytest.approx(ones) for name, ones in expected(record).items()}
    ids = {parts(file, "run")[0]["run_id"] for file in (before, after)}
    assert ids == {record.run_id}
    assert parts(before, "exit")[0]["exit_code"] == 1
    assert summary(before)["reason"] == "InterruptionError"
    assert summary(after)["status"] == "completed"


def test_values_that_are_not_finite_stay_so(tmp_path: Path) -> None:
    assert run(small(lr=1e30), observers=open_trackers("wandb")).record.status == "diverged"
    (file,) = files(tmp_path)
    (loss,) = series([file])["minibatch_train_loss"].values()
    assert not math.isfinite(loss)
    assert summary(file)["status"] == "diverged"


def test_several_processes_log_at_a_time(command_line: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text(
        'problems = ["quadratic_deep"]\noptimizers = ["SGD"]\nseeds = [1, 2, 3, 4]\n'
        "defaults.epochs = 1"
    )
    command = ("bench", "experiment.toml", "--no-estimate", "--jobs", "4", "--track", "wandb")
    code, _, err = command_line(*command)
    assert (code, err) == (0, "")
    assert [list(series([file])["epoch"].values()) for file in files(tmp_path)] == [[0, 1]] * 4
    command_line(*command)
    assert len(files(tmp_path)) == 4


def test_without_a_key_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def refuse() -> None:
        raise wandb.errors.UsageError("No API key configured")

    monkeypatch.setattr(wandb, "login", refuse)  # it would ask the server
    monkeypatch.setattr(wandb.setup().settings, "mode", "online")
    with pytest.raises(OutputError, match="WANDB_MODE=offline"):
        open_trackers("wandb")
