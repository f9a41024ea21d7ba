"""A sweep of twelve runs on engines of other packages, undisturbed and with a killed worker (slow).

The engines are those of the page about them, as they stand there. Each result has to be there,
once, with the numbers of a sweep in one process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import documents
import pytest
from plugin_sources import PREAMBLE

pytestmark = pytest.mark.slow

PAGE = documents.DOCS / "guides" / "engines.md"
PACKAGES = {  # function of the page -> package
    "pebble": "pebble",
    "pool": "deepobs-bench",
    "loky": "loky",
    "executorlib": "executorlib",
    "mpi": "mpi4py",
    "parsl": "parsl",
    "ipyparallel": "ipyparallel",
    "submitit": "submitit",
    "dask_on_slurm": "dask-jobqueue",
    "ray": "ray",
}
NEEDS = {"mpi": "mpiexec", "dask_on_slurm": "sbatch"}
"""Engines -> a command that has to be installed."""

REPEATED = {"mpi": 1, "dask_on_slurm": 0}
"""Engines on which a sweep is repeated for the last results -> exit code of the first time."""

SILENT = {"mpi": 150}
"""Engines that lose runs without a sign -> seconds until they are given up."""

NUM_RUNS = 12
SWEEPS = f"""
import os
import sys
from pathlib import Path

from deepobs.runs import specify
from deepobs_bench.executors import ExecutorOptions, open_executor
from deepobs_bench.failures import ExecutorError
from deepobs_bench.sweep import Sweep

RATES = [1e-5 * 3**number for number in range({NUM_RUNS})]

def main(engine, silence, *places):
    options = {{"num_epochs": 1, "device": "cpu"}}
    runs = [specify("quadratic_deep", "SGD", {{"lr": lr}}, **options) for lr in RATES]
    with open_executor(engine, ExecutorOptions(jobs=2)) as executor:
        for place in places:
            if place == "killed" and not Path(place).exists():
                Path("token").touch()
            sweep = Sweep(executor, output_dir=place, silence_limit=float(silence), tell=print)
            for run, outcome in sweep.execute(runs):
                print(place, run.hyperparameters["lr"], type(outcome).__name__, flush=True)

if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ExecutorError as error:
        print(error, flush=True)
        os._exit(1)  # a thread of mpi4py would wait for its workers
"""
PLUGIN = f"""
import os, signal
{PREAMBLE}

@hookimpl
def deepobs_run_started(specification):
    with open(os.environ["STARTED"], "a") as file:
        file.write(specification.run_id + "\\n")
    if 0.002 < specification.hyperparameters["lr"] < 0.003:
        try:
            os.unlink(os.environ["TOKEN"])
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
"""
_MEASURED = ("train_losses", "test_losses", "minibatch_train_losses", "steps", "status")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the engines of the page, and a plugin that kills a run once."""
    directory = tmp_path_factory.mktemp("prepared")
    (block,) = [one for one in documents.blocks(PAGE.read_text()) if one.file == "engines.py"]
    (directory / "engines.py").write_text(block.code)
    (directory / "sweeps.py").write_text(SWEEPS)
    metadata = directory / "site" / "acme_obs-1.0.dist-info"
    metadata.mkdir(parents=True)
    (directory / "site" / "acme_obs.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-obs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[deepobs]\nacme = acme_obs\n")
    return directory


@pytest.fixture(scope="module")
def expected(prepared: Path) -> dict[str, Any]:
    """What the runs measure in one process."""
    assert sweeps(prepared, "serial", "serial", silence=900)[0] == 0
    results = results_in(prepared / "serial")
    assert len(results) == NUM_RUNS
    (prepared / "started").unlink()
    return results


@pytest.fixture
def directory(prepared: Path, tmp_path: Path) -> Path:
    """A prepared directory for the sweeps of a test."""
    return Path(shutil.copytree(prepared, tmp_path / "sweeps"))


def sweeps(directory: Path, engine: str, *places: str, silence: float) -> tuple[int, str]:
    """Execute the sweep in each of the places with one executor; exit code and what was printed."""
    own = {"PYTHONPATH": "site", "STARTED": "started", "TOKEN": "token"}
    # Else it refuses two workers beside their parent on a machine with few cores.
    mpi = {"OMPI_MCA_rmaps_base_oversubscribe": "1"}
    process = subprocess.run(
        [sys.executable, "sweeps.py", engine, str(silence), *places],
        cwd=directory,
        env=os.environ | mpi | {name: str(directory / place) for name, place in own.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        check=False,
    )
    print(process.stdout)
    return process.returncode, process.stdout


def results_in(directory: Path) -> dict[str, Any]:
    """What was measured, by `run_id`; no run is there twice."""
    results = {}
    for path in directory.rglob("*.json"):
        content = json.loads(path.read_text(), parse_constant=pytest.fail)
        assert content["run_id"] not in results
        results[content["run_id"]] = {name: content[name] for name in _MEASURED}
    return results


@pytest.mark.parametrize("engine", PACKAGES)
def test_a_sweep_on_an_engine_survives_a_killed_worker(
    directory: Path, expected: dict[str, Any], engine: str
) -> None:
    package = PACKAGES[engine]
    pytest.importorskip(package.replace("-", "_"), reason=f"{package} is not installed")
    if engine in NEEDS and shutil.which(NEEDS[engine]) is None:
        pytest.skip(f"{NEEDS[engine]} is not installed")
    silence = SILENT.get(engine, 900)
    code, printed = sweeps(directory, f"engines:{engine}", "undisturbed", "killed", silence=silence)
    print(f"{package} {version(package)} ended with {code}")
    assert results_in(directory / "undisturbed") == expected
    if engine in REPEATED:
        assert code == REPEATED[engine]
        assert len(results_in(directory / "killed")) < NUM_RUNS
        code, printed = sweeps(directory, f"engines:{engine}", "killed", silence=900)
    assert code == 0, printed
    assert not (directory / "token").exists()
    assert results_in(directory / "killed") == expected
    # Only what was executing when the worker died was started twice.
    starts = Counter((directory / "started").read_text().split())
    assert sum(starts.values()) <= 2 * NUM_RUNS + 4


def test_a_pool_of_multiprocessing_is_not_waited_for_without_end(
    directory: Path, expected: dict[str, Any]
) -> None:
    code, printed = sweeps(directory, "engines:multiprocessing", "killed", silence=60)
    assert code != 0
    assert "the limit of silence, and 1 run did not end" in printed
    assert len(results_in(directory / "killed")) == NUM_RUNS - 1
    assert sweeps(directory, "serial", "killed", silence=900)[0] == 0
    assert results_in(directory / "killed") == expected
