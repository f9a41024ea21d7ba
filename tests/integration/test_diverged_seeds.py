"""A seed that diverges: bench, tune and table show the same mean, and over how many seeds."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import re
import statistics
import sys
from typing import TYPE_CHECKING, Any

import pytest

from deepobs.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWN = """
import torch

class Own(torch.optim.SGD):
    def step(self, closure=None):
        if torch.initial_seed() in {broken}:
            with torch.no_grad():
                for parameter in self.param_groups[0]["params"]:
                    parameter.fill_(float("nan"))
            return None
        return super().step(closure)
"""

EXPERIMENT = """
problems = ["digits_logreg"]
defaults.epochs = 2
{seeds}
[optimizers.Own]
class = "own_diverging:Own"
{choices}
"""

BENCH = ("bench", "experiment.toml", "--no-estimate", "--executor", "serial")
PLAIN = {"seeds": "seeds = [1, 2, 3]", "choices": "hyperparameters.lr = 0.1"}
TUNED = {
    "seeds": "",
    "choices": "tune = { space = { lr = [0.1, 0.05] }, sampler = 'grid', select_on = 'test', "
    "report_seeds = [1, 2, 3] }",
}


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Call a command beside an optimizer that diverges with some seeds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def call(*words: str) -> str:
        capsys.readouterr()
        with contextlib.suppress(SystemExit):
            main(list(words))
        return capsys.readouterr().out

    return call


def diverging(directory: Path, experiment: dict[str, str], broken: set[int]) -> None:
    (directory / "own_diverging.py").write_text(OWN.format(broken=broken))
    sys.modules.pop("own_diverging", None)
    importlib.invalidate_caches()
    (directory / "experiment.toml").write_text(EXPERIMENT.format(**experiment))


def standing(command: Callable[..., str]) -> dict[str, Any]:
    written = json.loads(command(*BENCH, "--json"))
    found: dict[str, Any] = written["standings"][0]
    return found


@pytest.mark.parametrize("experiment", [PLAIN, TUNED], ids=["plain", "tuned"])
def test_bench_tune_and_table_agree_where_a_seed_diverged(
    command: Callable[..., str], tmp_path: Path, experiment: dict[str, str]
) -> None:
    diverging(tmp_path, experiment, {2})
    shown = standing(command)
    assert (len(shown["test"]), shown["seeds"], shown["diverged"]) == (2, 3, 1)
    mean = statistics.fmean(shown["test"])
    out = command(*BENCH)
    assert f"accuracy {mean:.5g} ± {statistics.pstdev(shown['test']):.2g} (2 of 3 seeds)" in out

    for record in tmp_path.glob("results/*/*/*.tuning"):
        summary = json.loads(record.read_bytes())["summary"]["test_accuracy"]
        assert (summary["runs"], summary["mean"]) == (2, pytest.approx(mean))

    names = "final,best,loss,accuracy"
    out = command("table", "experiment.toml", "--columns", names)
    assert out.count("(1 of 3 failed)") == 4
    written = command("table", "experiment.toml", "--columns", names, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(written))
    assert row["failed"] == "1"
    for name in ("others_mean", "others_accuracy_mean"):
        assert float(row[name]) == pytest.approx(mean)
    assert float(row["others_loss_mean"]) < 1.65  # about 2.3 before training
    assert float(row["others_best_mean"]) >= mean
    assert float(row["final_mean"]) == float(row["accuracy_mean"]) < mean


def test_where_all_seeds_diverged_none_of_them_shows_a_mean(
    command: Callable[..., str], tmp_path: Path
) -> None:
    diverging(tmp_path, PLAIN, {1, 2, 3})
    shown = standing(command)
    assert (shown["test"], shown["diverged"]) == ([], 3)
    out = command("table", "experiment.toml", "--columns", "optimizer,final,accuracy")
    assert re.search(r"Own +(\S+) \(3 of 3 failed\) +\1 \(3 of 3 failed\)", out)
    assert not re.search(r"0\.\d", out.partition("\n\n")[0])
