"""Sweeps whose processes are killed at random moments, again and again (slow).

After the same command was given once more, every result has to be there, once, whole, and with the
numbers of an undisturbed sweep.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import pytest
from dask_cluster import Cluster
from plugin_sources import PREAMBLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

REPETITIONS = 50
NUM_RUNS = 12
EXPERIMENT = """
problems = ["quadratic_deep"]
seeds = "42..47"
[defaults]
epochs = 60
[optimizers.SGD]
grid = { lr = [0.001, 0.01] }
"""
TELLING = f"""
import os
{PREAMBLE}

@hookimpl
def deepobs_run_started(specification):
    with open(os.environ["STARTED"], "a") as file:
        file.write(specification.run_id + "\\n")
"""
_MEASURED = ("train_losses", "test_losses", "minibatch_train_losses", "steps", "status")


class Undisturbed(NamedTuple):
    """An undisturbed sweep.

    Attributes:
        seconds: How long it took.
        results: What it measured, by `run_id`.
    """

    seconds: float
    results: dict[str, Any]


def bench(directory: Path, *options: str) -> subprocess.Popen[str]:
    """Start the sweep in a directory, where its results are to be kept."""
    (directory / "experiment.toml").write_text(EXPERIMENT)
    command = [sys.executable, "-m", "deepobs", "bench", "experiment.toml", "--no-estimate"]
    return subprocess.Popen(
        [*command, *options],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def complete(directory: Path, *options: str) -> str:
    """Carry out the sweep to its end; what it printed."""
    process = bench(directory, *options)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return printed


def results_in(directory: Path) -> dict[str, Any]:
    """What was measured, by `run_id`; every file is strict JSON, and no run is there twice."""
    results = {}
    for path in (directory / "results").rglob("*.json"):
        content = json.loads(path.read_text(), parse_constant=pytest.fail)
        assert content["run_id"] not in results
        results[content["run_id"]] = {name: content[name] for name in _MEASURED}
    return results


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    directory = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    complete(directory, "--jobs", "2")
    seconds = time.monotonic() - began
    results = results_in(directory)
    assert len(results) == NUM_RUNS
    return Undisturbed(seconds, results)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


def a_worker_of(process: subprocess.Popen[str], choice: random.Random) -> psutil.Process | None:
    """One of the worker processes; waits for the first one, `None` if the sweep ends before."""
    parent = psutil.Process(process.pid)
    while process.poll() is None:
        if children := parent.children():
            return choice.choice(children)
        time.sleep(0.01)
    return None


@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_nothing_is_lost_doubled_or_torn_by_a_kill(
    repetition: int, undisturbed: Undisturbed, cluster: Cluster, tmp_path: Path
) -> None:
    choice = random.Random(repetition)  # noqa: S311 # the same moments every time
    victim = ("worker", "parent", "Dask worker", "Dask client")[repetition % 4]
    options = ["--jobs", "2"]
    if victim.startswith("Dask"):
        options = ["--executor", "dask", "--scheduler", cluster.address]
        options += ["--shared-results"] if repetition % 8 >= 4 else []
    process = bench(tmp_path, *options)
    time.sleep(choice.uniform(0, undisturbed.seconds))
    if victim == "Dask worker":
        cluster.kill_worker()
    elif victim == "worker":
        worker = a_worker_of(process, choice)
        if worker is not None:
            worker.kill()
    else:
        process.kill()
    if victim == "Dask worker":
        cluster.workers.append(cluster.add_worker())
    printed, _ = process.communicate(timeout=300)
    # What a killed worker was doing is a failed run (1); a killed parent tells nothing.
    assert victim in ("parent", "Dask client") or process.returncode in (0, 1), printed
    complete(tmp_path, *options)
    assert results_in(tmp_path) == undisturbed.results


def test_two_sweeps_in_one_directory_carry_out_every_run_once(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    metadata = site / "acme_obs-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "acme_obs.py").write_text(TELLING)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-obs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[deepobs]\nacme = acme_obs\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("STARTED", str(tmp_path / "started"))
    sweeps = [bench(tmp_path, "--jobs", "2") for _ in range(2)]
    for sweep in sweeps:
        printed, _ = sweep.communicate(timeout=300)
        assert sweep.returncode == 0, printed
    started = (tmp_path / "started").read_text().split()
    assert sorted(started) == sorted(undisturbed.results)
    assert results_in(tmp_path) == undisturbed.results
