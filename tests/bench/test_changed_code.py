"""`deepobs bench` after a change of the user's own code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

OPTIMIZER = """
import torch

class Mine(torch.optim.SGD):
    def step(self, closure=None):
        return super().step(closure)
"""
PROBLEM = """
from deepobs.plugins import ProblemSpec
from deepobs.problems.synthetic import QuadraticDeep

class Deep(QuadraticDeep):
    spec = ProblemSpec(batch_size=100, epochs=1, dataset="quadratic")
"""
EXPERIMENT = """
problems = ["quadratic_deep", "my_problem:Deep"]
seeds = [1, 2, 3]
defaults = { epochs = 1, batch_size = 100 }
[optimizers.mine]
class = "my_optimizer:Mine"
grid.lr = [0.001, 0.01]
"""


def bench(directory: Path, *options: str) -> str:
    command = [sys.executable, "-m", "deepobs", "bench", "experiment.toml", "--no-estimate"]
    process = subprocess.run(
        [*command, "--executor", "serial", *options],
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout


@pytest.mark.parametrize(
    ("changed", "part", "count"),
    [("my_optimizer.py", "optimizer_source", 12), ("my_problem.py", "code", 6)],
)
def test_results_of_older_code_are_counted_where_runs_are_pending_again(
    tmp_path: Path, changed: str, part: str, count: int
) -> None:
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    (tmp_path / "my_optimizer.py").write_text(OPTIMIZER)
    (tmp_path / "my_problem.py").write_text(PROBLEM)
    assert "of older code" not in bench(tmp_path, "--dry-run")
    bench(tmp_path)
    assert "of older code" not in bench(tmp_path, "--dry-run")

    records = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("*.json")]
    versions = set()
    for record in records:
        versions.update(record["code"].values() if part == "code" else [record[part]])
    (tmp_path / changed).write_text((tmp_path / changed).read_text() + "    extra = 1\n")
    told = " ".join(bench(tmp_path, "--dry-run").split())
    (version,) = versions
    assert f"12 runs: {12 - count} done, {count} pending." in told
    assert f"{count} results of older code ({version}) do not count" in told
    assert json.loads(bench(tmp_path, "--dry-run", "--json"))["results_of_older_code"] == count
