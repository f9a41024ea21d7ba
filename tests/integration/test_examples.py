"""The experiments in `examples` work as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

from deepobs_bench.experiment_files import load
from deepobs_bench.plan import plan

COMMAND = Path(sys.executable).with_name("deepobs")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".toml", ".yaml"))


def test_there_are_examples():
    assert len(FILES) >= 4


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_can_be_planned(path):
    planned = plan(load(path), str(path), device="cpu")
    assert planned.runs or planned.tunings


def test_the_first_example_runs_and_has_a_table(tmp_path):
    words = [COMMAND, "bench", EXAMPLES / "first_experiment.toml", "--jobs", "2"]
    process = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    assert len(list((tmp_path / "results").rglob("*.json"))) == 32
    table = process.stdout[process.stdout.index("BEST CONFIGURATION") :]
    assert "selected on validation data: digits_mlp, quadratic_deep" in table
    (adam,) = (line for line in table.splitlines() if line.startswith("digits_mlp      Adam"))
    assert float(adam.split("accuracy ")[1].split()[0]) > 0.9


def test_the_example_of_the_paper_can_be_tried_with_fake_data(tmp_path):
    words = [COMMAND, "bench", EXAMPLES / "paper_protocol.toml", "--dry-run", "--fake-data", "0.01"]
    process = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    assert "6 tunings of 276 runs" in process.stdout
    assert not (tmp_path / "results").exists()
