"""Sweeps whose runs are divided among processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXPERIMENT = """
problems = ["quadratic_deep"]
[defaults]
epochs = 2
[optimizers.SGD]
hyperparameters = { lr = 0.01 }
[optimizers.Killed]
class = "own:Killed"
hyperparameters = { lr = 0.01 }
[optimizers.Fails]
class = "own:Fails"
hyperparameters = { lr = 0.01 }
"""

OWN_CODE = '''
import os
import signal

import torch


class Killed(torch.optim.SGD):
    """One of its processes is killed."""

    def step(self, closure=None):
        if os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(closure)


class Fails(torch.optim.SGD):
    """Raises an error in one of its processes."""

    def step(self, closure=None):
        if os.environ.get("RANK") == "1":
            raise ZeroDivisionError("on purpose")
        return super().step(closure)
'''


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Execute `deepobs bench` on the experiment."""
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    (tmp_path / "own.py").write_text(OWN_CODE)

    def bench(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deepobs", "bench", "experiment.toml", "--no-estimate", *words],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=240,
        )

    return bench


def record_of(directory: Path, optimizer: str) -> dict[str, Any]:
    [path] = (directory / "quadratic_deep" / optimizer).rglob("random_seed__*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def test_runs_divided_among_processes_have_the_results_of_others(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    divided = bench("--processes-per-run", "2", "--out", "divided")
    assert bench("--only", "optimizer=SGD", "--out", "whole").returncode == 0
    record, whole = (record_of(tmp_path / name, "SGD") for name in ("divided", "whole"))
    assert record["run_id"] == whole["run_id"]
    assert record["test_losses"] == pytest.approx(whole["test_losses"], rel=1e-5)
    assert record["hardware"]["processes"] == 2
    # The other runs fail without any effect on it, each with its reason.
    killed, failed = (
        next((tmp_path / "divided" / "quadratic_deep" / name).rglob("*.failure")).read_text()
        for name in ("Killed", "Fails")
    )
    assert "Process 1 of the run ended" in killed
    assert "ZeroDivisionError: on purpose" in failed
    assert divided.returncode == 1
