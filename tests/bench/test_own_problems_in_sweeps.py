"""Problems of one's own in experiments, tuning and worker processes."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import deepobs
from deepobs.plugins import registry
from deepobs.runs import specify
from deepobs_bench.processes import WorkerProcesses
from deepobs_bench.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODULE = "own_problem_of_a_sweep"

SOURCE = '''
from torch import nn
from deepobs.plugins import ProblemSpec
from deepobs.problems import Problem, reduced

class Small(Problem):
    """A linear map of the vectors of quadratic_deep."""
    spec = ProblemSpec(batch_size=100, epochs=1, dataset="quadratic", options={"width": 3})

    def build_model(self):
        return nn.Linear(100, self.spec.options["width"])

    def batch_losses(self, batch, reduction):
        return reduced(self.model(batch[0]).square().sum(dim=1), reduction), None
'''

EXPERIMENT = f"""
problems = ["{MODULE}:Small"]
seeds = [1, 2]
[optimizers.SGD.grid]
lr = [0.001, 0.01]
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module with a problem, in the directory of `command_line`."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / f"{MODULE}.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "experiment.toml").write_text(EXPERIMENT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield MODULE
    sys.modules.pop(MODULE, None)
    registry().problems._offers.pop("small_map", None)


def test_an_experiment_and_a_tuning_name_a_class(
    module: str, command_line: Callable[..., Any], tmp_path: Path
) -> None:
    code, _, err = command_line("bench", "experiment.toml", "--jobs", "1")
    assert (code, err) == (0, ""), err
    files = list((tmp_path / "results" / "Small" / "SGD").rglob("*.json"))
    assert len(files) == 4
    assert json.loads(files[0].read_text())["testproblem"] == f"{module}:Small"
    words = ("--trials", "2", "--space", "lr=log:1e-4:1e-2", "--sampler", "random")
    code, _, err = command_line("tune", f"{module}:Small", "SGD", *words, "--report-seeds", "3")
    assert code == 0, err


def test_workers_know_what_was_registered(
    module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    small = importlib.import_module(module).Small
    deepobs.register(small, "small_map", options={"width": 2})
    specification = specify("small_map", "SGD", {"lr": 0.01}, device="cpu")
    with WorkerProcesses(1) as executor:
        sweep = Sweep(executor, output_dir=tmp_path / "results")
        ((_, outcome),) = sweep.execute([specification])
    assert outcome.status == "completed", outcome
    assert outcome.run_id == specification.run_id


SCRIPT = """
import sys
from pathlib import Path
import deepobs
from deepobs.runs import specify
from deepobs_bench.processes import WorkerProcesses
from deepobs_bench.sweep import Sweep

{source}

if __name__ == "__main__":
    deepobs.register(Small, "small_map", options={{"width": 2}})
    runs = [specify(name, "SGD", {{"lr": 0.01}}, device="cpu") for name in (Small, "small_map")]
    with WorkerProcesses(1) as executor:
        for run, outcome in Sweep(executor, output_dir="results").execute(runs):
            print(run.testproblem, getattr(outcome, "status", outcome))
"""


def test_workers_get_the_problems_of_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.format(source=SOURCE), encoding="utf-8")
    process = subprocess.run(  # our own script
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert process.stderr == ""
    assert process.stdout.splitlines() == ["__main__:Small completed", "small_map completed"]
