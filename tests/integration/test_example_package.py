"""The example package is installed like by a user, and its components are used by name."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from installed_packages import ROOT, called, installed_beside

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = ROOT / "examples" / "deepobs-example-problem"
EXPERIMENT = """
problems = ["spirals_mlp", "two_d_rosenbrock"]
seeds = [42, 43]

[defaults]
epochs = 2

[overrides.spirals_mlp]
epochs = 5

[optimizers.SGD]
grid = { lr = [0.0001, 0.001] }

[overrides.spirals_mlp.optimizers.SGD]
grid = { lr = [0.1, 0.5] }
"""
LOOP = """
import pickle
import torch
from deepobs.pytorch import datasets
from deepobs.pytorch.testproblems import spirals_mlp

torch.manual_seed(1)
problem = spirals_mlp(batch_size=100, device="cpu")
problem.set_up()
optimizer = torch.optim.Adam(problem.model.parameters(), lr=0.01)
for epoch in range(5):
    for batch in problem.dataset.train_loader:
        optimizer.zero_grad()
        losses, accuracy = problem.get_batch_loss_and_accuracy(batch)
        (losses.mean() + problem.get_regularization_loss()).backward()
        optimizer.step()
assert isinstance(problem.dataset, datasets.spirals)
assert type(pickle.loads(pickle.dumps(problem))) is spirals_mlp
print(f"{accuracy:.2f}")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables of a process that has the example installed."""
    directory = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(EXAMPLE, directory / "source")
    return installed_beside(source, directory / "installed")


def test_it_is_listed_beside_ours(tmp_path: Path, installed: dict[str, str]) -> None:
    output = called("deepobs", "list", "--json", cwd=tmp_path, env=installed)
    everything = json.loads(output)
    assert "deepobs-example-problem:spirals" in [one["name"] for one in everything["plugins"]]
    assert {one["state"] for one in everything["plugins"]} == {"loaded"}
    for kind, name in (("problems", "spirals_mlp"), ("datasets", "spirals"), ("suites", "plane")):
        owners = {one["name"]: one["distribution"] for one in everything[kind]}
        assert owners[name] == "deepobs-example-problem"
    assert "digits_mlp" in {one["name"] for one in everything["problems"]}


def test_the_command_line_trains_on_it_by_name(tmp_path: Path, installed: dict[str, str]) -> None:
    words = ("deepobs", "run", "spirals_mlp", "SGD", "--lr", "0.5", "--epochs", "1")
    assert "SGD on spirals_mlp, seed 42: after 1 epoch" in called(
        *words, cwd=tmp_path, env=installed
    )
    (path,) = (tmp_path / "results/spirals_mlp/SGD").rglob("*.json")
    result = json.loads(path.read_text("utf-8"))
    assert result["versions"]["deepobs-example-problem"] == "1.0.0"
    assert (result["weight_decay"], result["batch_size"]) == (1e-4, 50)
    assert result["dataset"]["split_sizes"] == {"train": 2000, "train_eval": 1000, "test": 1000}
    assert not result["fake_data"]


def test_an_experiment_and_a_report_take_it_like_ours(
    tmp_path: Path, installed: dict[str, str]
) -> None:
    (tmp_path / "experiment.toml").write_text(EXPERIMENT, encoding="utf-8")
    table = called(
        "deepobs", "bench", "experiment.toml", "--jobs", "2", cwd=tmp_path, env=installed
    )
    assert len(list((tmp_path / "results").rglob("*.json"))) == 8
    assert "spirals_mlp" in table[table.index("BEST CONFIGURATION") :]
    called("deepobs", "report", "results", "-o", "report.html", cwd=tmp_path, env=installed)
    report = (tmp_path / "report.html").read_text("utf-8")
    assert "spirals_mlp" in report
    assert "two_d_rosenbrock" in report


def test_the_facade_has_it(tmp_path: Path, installed: dict[str, str]) -> None:
    accuracy = called("python", "-c", LOOP, cwd=tmp_path, env=installed)
    assert float(accuracy) > 0.5  # of three spirals


def test_it_passes_its_own_tests(tmp_path: Path, installed: dict[str, str]) -> None:
    source = shutil.copytree(EXAMPLE, tmp_path / "source")
    output = called("pytest", "-q", "-p", "no:cacheprovider", cwd=source, env=installed)
    passed = int(output.rpartition("\n")[2].split(" passed")[0])
    assert passed > 10  # its own, and the checks


def test_its_code_is_clean(tmp_path: Path, installed: dict[str, str]) -> None:
    pytest.importorskip("ruff")
    source = shutil.copytree(EXAMPLE, tmp_path / "source")
    for words in (("check",), ("format", "--check")):
        called("ruff", *words, "--no-cache", cwd=source, env=installed)
