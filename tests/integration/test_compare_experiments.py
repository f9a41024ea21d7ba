"""`deepobs compare` of real runs: two experiments, labels of one, and versions of own code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    CommandLine = Callable[..., tuple[int, str, str]]

BEFORE = """
problems = ["quadratic_deep", "two_d_branin"]
seeds = [1, 2, 3]
[defaults]
epochs = 1
[optimizers.SGD]
hyperparameters.lr = 0.01
[optimizers."Momentum 0.5"]
class = "Momentum"
hyperparameters = { lr = 0.01, momentum = 0.5 }
"""
OWN = """
import torch

def scaled(gradient):
    return FACTOR * gradient

FACTOR = 1.0

class Mine(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for each in group["params"]:
                each -= group["lr"] * scaled(each.grad)
"""


def bench(command_line: CommandLine, file: str, text: str, out: str = "results") -> None:
    Path(file).write_text(text)
    code, _, error = command_line("bench", file, "--jobs", "1", "--out", out, "--no-estimate")
    assert code == 0, error


def test_labels_of_an_experiment_are_compared(command_line: CommandLine) -> None:
    bench(command_line, "before.toml", BEFORE)
    code, out, error = command_line(
        "compare", "Momentum 0.5", "SGD", "--results", "before.toml", "--json"
    )
    assert (code, error) == (0, "")
    matches = json.loads(out)["matches"]
    assert [each["problem"] for each in matches] == ["quadratic_deep", "two_d_branin"]
    assert [each["first"]["name"] for each in matches] == ["Momentum 0.5"] * 2
    assert all(each["is_paired"] and each["first"]["seeds"] == [1, 2, 3] for each in matches)


def test_two_experiments_are_compared_by_the_labels_that_both_have(
    command_line: CommandLine,
) -> None:
    bench(command_line, "before.toml", BEFORE)
    bench(command_line, "after.toml", BEFORE.replace("lr = 0.01, m", "lr = 0.02, m"))
    code, out, error = command_line(
        "compare", "after.toml", "before.toml", "--on", "quadratic_deep"
    )
    assert code == 0, error
    assert "Momentum 0.5 in after.toml" in out
    # Both experiments have the same runs of SGD.
    sgd = out.partition("SGD in after.toml")[2].splitlines()[1]
    assert sgd.endswith("equal")


def test_experiments_with_other_epochs_are_not_compared(command_line: CommandLine) -> None:
    bench(command_line, "before.toml", BEFORE)
    bench(command_line, "longer.toml", BEFORE.replace("epochs = 1", "epochs = 2"))
    code, _, error = command_line("compare", "longer.toml", "before.toml")
    assert code != 0
    assert "other protocols (epochs 2 and 1)" in " ".join(error.split())
    code, out, _ = command_line("compare", "longer.toml", "before.toml", "--across-protocols")
    assert code == 0
    assert "epochs 2 against 1" in " ".join(out.split())


def test_versions_of_a_changed_optimizer_are_compared(tmp_path: Path) -> None:
    def deepobs(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "deepobs", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run = ("run", "quadratic_deep", "mine:Mine", "--epochs", "1")
    seeds = ("--seed", "1", "--seed", "2", "--seed", "3")
    (tmp_path / "mine.py").write_text(OWN)
    deepobs(*run, *seeds)
    (tmp_path / "mine.py").write_text(OWN.replace("FACTOR = 1.0", "FACTOR = 0.5"))
    deepobs(*run, *seeds)
    content = json.loads(deepobs("compare", "Mine@newest", "Mine@older", "--json"))
    (match,) = content["matches"]
    names = [match[side]["name"] for side in ("first", "second")]
    assert names[0] != names[1]
    # Half of the step is worse after one epoch, with each of the shared seeds.
    assert match["is_paired"]
    assert match["better"] == names[1]
    fingerprint = names[1].removeprefix("Mine@")[:4]
    again = json.loads(deepobs("compare", "Mine", f"Mine@{fingerprint}", "--json"))
    assert again["matches"][0]["difference"] == match["difference"]
    assert any("older code" in warning for warning in again["warnings"])
