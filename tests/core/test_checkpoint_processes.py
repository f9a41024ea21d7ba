"""`deepobs run` with checkpoints as a process: killed, asked to end and interrupted."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

RUN = [
    *(sys.executable, "-m", "deepobs", "run", "quadratic_deep", "Adam", "--lr", "0.01"),
    *("--batch-size", "1", "--epochs", "6", "--device", "cpu"),
]
NOT_NUMBERS = {"train_seconds", "eval_seconds", "started_at", "resumed_at_steps"}


def finished(output_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, "--out", str(output_dir), *options], capture_output=True, text=True, check=False
    )


def ended_by(number: int, output_dir: Path, *options: str) -> tuple[int, str]:
    """Send a signal once there is a checkpoint; the exit code, and what was said."""
    with subprocess.Popen(
        [*RUN, "--out", str(output_dir), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not checkpoints_in(output_dir) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    return process.returncode, err


def checkpoints_in(output_dir: Path) -> list[Path]:
    return list(output_dir.rglob(".*.checkpoint"))


def result(output_dir: Path) -> dict[str, Any]:
    (path,) = output_dir.rglob("*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def numbers(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in NOT_NUMBERS}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of the run without checkpoints."""
    output_dir = tmp_path_factory.mktemp("undisturbed")
    assert finished(output_dir).returncode == 0
    return result(output_dir)


def test_a_killed_run_is_resumed_to_the_bit(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    code, _ = ended_by(signal.SIGKILL, tmp_path, "--checkpoint-every", "0.01s")
    assert code == -signal.SIGKILL
    assert len(checkpoints_in(tmp_path)) == 1
    assert list(tmp_path.rglob("*.json")) == []

    process = finished(tmp_path, "--resume")
    assert (process.returncode, process.stderr) == (0, "")
    assert re.match(r"The run continues from its checkpoint, in epoch [1-6] of 6\.", process.stdout)
    resumed = result(tmp_path)
    assert resumed["resumed_at_steps"][0] > 0
    assert numbers(resumed) == numbers(undisturbed)
    assert checkpoints_in(tmp_path) == []


def test_a_run_that_is_asked_to_end_writes_a_checkpoint_first(
    undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    code, err = ended_by(signal.SIGTERM, tmp_path, "--checkpoint-every", "1epoch")
    assert code == -signal.SIGTERM
    assert "The run was asked to terminate. It can be resumed from" in err

    assert finished(tmp_path, "--resume").returncode == 0
    resumed = result(tmp_path)
    assert numbers(resumed) == numbers(undisturbed)


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    code, err = ended_by(signal.SIGINT, tmp_path, "--checkpoint-every", "1epoch")
    assert code == 130
    assert "repeat the command with --resume to continue this run" in err


def test_an_interrupted_run_that_resumes_is_told_to_repeat_its_command(tmp_path: Path) -> None:
    code, err = ended_by(signal.SIGINT, tmp_path, "--checkpoint-every", "1epoch", "--resume")
    assert code == 130
    assert "repeat the command to continue this run" in err
