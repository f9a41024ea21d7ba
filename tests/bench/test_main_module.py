"""Tuning a class of the main script, which worker processes cannot import: as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deepobs.errors import ArgumentError
from deepobs.runs import specify
from deepobs_bench.executors import SerialExecutor
from deepobs_bench.sweep import Sweep

if TYPE_CHECKING:
    from pathlib import Path

    import torch

# Without `if __name__ == "__main__"`: nothing imports the script a second time.
SCRIPT = """
import threading
import torch

from deepobs.runs import RunObserver
from deepobs_bench.processes import WorkerProcesses
from deepobs_bench.sweep import Sweep
from deepobs_bench.tuning.settings import TuningSettings
from deepobs_bench.tuning.tune import tune

FACTOR = 0.5
LOCK = threading.Lock()

def scaled(rate):
    return FACTOR * rate

class Mine(torch.optim.SGD):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= scaled(group["lr"]) * parameter.grad

class Locking(Mine):
    def step(self, closure=None):
        with LOCK:
            return super().step(closure)

class Watching(RunObserver):
    def epoch_ended(self, epoch, metrics):
        if metrics["test_loss"] < 0:
            raise RuntimeError("never")

settings = TuningSettings(space={"lr": [1e-3, 1e-4]}, sampler="grid", report_seeds=[1])
with WorkerProcesses(2, threads=1) as workers:
    sweep = Sweep(workers, output_dir="results", observers=[Watching()])
    options = {"num_epochs": 1, "device": "cpu"}
    result = tune("quadratic_deep", Mine, settings, sweep=sweep, options=options, jobs=2)
    print(*(trial.status for trial in result.trials), result.winner, result.optimizer_target)
    try:
        tune("quadratic_deep", Locking, settings, sweep=sweep, options=options, jobs=2)
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize("is_file", [True, False], ids=["script", "stdin"])
def test_a_class_of_the_main_script_is_tuned_in_processes(tmp_path: Path, is_file: bool) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "mine.py" if is_file else "-"],
        input="" if is_file else SCRIPT,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    tuned, refused = done.stdout.splitlines()
    assert tuned == "completed completed 0 __main__:Mine"
    assert refused.startswith("ArgumentError What __main__ defines cannot be sent to other")
    assert "cannot pickle '_thread.lock' object" in refused
    assert "Move the classes of the run into a module" in refused
    assert len(list(tmp_path.rglob("random_seed__*.json"))) == 3


def test_a_class_inside_a_function_is_refused_at_once(tmp_path: Path) -> None:
    optimizer = _class_of_a_function()
    sweep = Sweep(SerialExecutor(), output_dir=tmp_path)
    with pytest.raises(ArgumentError, match="is defined inside a function"):
        list(sweep.execute([specify("quadratic_deep", optimizer, num_epochs=1, device="cpu")]))


def test_a_class_that_was_redefined_since_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = sys.modules["__main__"]
    text = "import torch\nclass Redefined(torch.optim.SGD):\n    factor = {}\n"
    for name in ("Redefined", "torch"):
        monkeypatch.setattr(main, name, None, raising=False)
    exec(text.format(1), vars(main))  # noqa: S102 # as a notebook does
    planned = specify("quadratic_deep", main.Redefined, num_epochs=1, device="cpu")
    exec(text.format(2), vars(main))  # noqa: S102
    with pytest.raises(ArgumentError, match="has changed since the run was planned"):
        list(Sweep(SerialExecutor(), output_dir=tmp_path).execute([planned]))


def _class_of_a_function() -> type[torch.optim.Optimizer]:
    import torch

    class Local(torch.optim.SGD):
        pass

    return Local
