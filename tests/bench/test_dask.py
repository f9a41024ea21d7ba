"""Sweeps on a Dask cluster of this machine: a real scheduler and real workers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time

import pytest
from dask_cluster import Cluster
from plugin_sources import offering

distributed = pytest.importorskip("distributed")

from deepobs.errors import ArgumentError, OutputError  # noqa: E402
from deepobs.records import RunRecord  # noqa: E402
from deepobs.runs import specify  # noqa: E402
from deepobs_bench._dask import DaskExecutor  # noqa: E402
from deepobs_bench.executors import ExecutorOptions, SerialExecutor, open_executor  # noqa: E402
from deepobs_bench.failures import ExecutorError  # noqa: E402
from deepobs_bench.sweep import Sweep  # noqa: E402

TROUBLE = """
import os, signal, time
import psutil
import torch

class Trouble(torch.optim.SGD):
    def __init__(self, params, lr=0.01, kind="none"):
        super().__init__(params, lr=lr)
        self.kind = kind

    def step(self, closure=None):
        if self.param_groups[0]["params"][0].numel() == 100:  # not where it is only tried out
            print("a step is taken", flush=True)
            getattr(self, self.kind)()
        return super().step(closure)

    def none(self):
        pass

    def killed(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def slow(self):
        time.sleep(0.2)

    def kills_its_worker(self):
        for ancestor in psutil.Process().parents():
            if any("dask_worker" in word for word in ancestor.cmdline()):
                ancestor.kill()
        time.sleep(60)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cluster")
    (directory / "trouble.py").write_text(TROUBLE)
    sys.path.append(str(directory))
    with pytest.MonkeyPatch.context() as patch:
        path = os.environ.get("PYTHONPATH", "")
        patch.setenv("PYTHONPATH", f"{directory}{os.pathsep}{path}")
        cluster = Cluster(directory)
        yield cluster
        cluster.close()
    sys.path.remove(str(directory))
    sys.modules.pop("trouble", None)


@pytest.fixture(scope="module")
def executor(cluster):
    with DaskExecutor(cluster.address) as executor:
        while executor.capacity < 2:
            time.sleep(0.05)
        yield executor


def troubled(kind, **arguments):
    options = {"num_epochs": 1, "device": "cpu"} | arguments
    return specify("quadratic_deep", "trouble:Trouble", {"kind": kind}, **options)


@pytest.mark.parametrize("shared_results", [True, False], ids=["shared", "comes back"])
def test_runs_on_a_cluster_give_the_numbers_of_this_process(executor, tmp_path, shared_results):
    runs = [specify("quadratic_deep", "SGD", num_epochs=1, random_seed=s) for s in range(4)]
    sweep = Sweep(executor, output_dir=tmp_path / "there", shared_results=shared_results)
    there = {record.run_id: record for _, record in sweep.execute(runs)}
    here = Sweep(SerialExecutor(), output_dir=tmp_path / "here").execute(runs)
    for _, record in here:
        assert there[record.run_id].test_losses == record.test_losses
    assert len(list(tmp_path.glob("there/**/*.json"))) == 4
    assert not list(tmp_path.glob("there/.*"))


def test_a_run_that_crashes_is_recorded_with_its_log_and_harms_no_worker(
    cluster, executor, tmp_path
):
    runs = [troubled("killed"), troubled("none")]
    outcomes = {
        each.hyperparameters["kind"]: outcome
        for each, outcome in Sweep(executor, output_dir=tmp_path).execute(runs)
    }
    assert outcomes["killed"].kind == "crash"
    assert outcomes["killed"].log == "a step is taken\n"
    assert isinstance(outcomes["none"], RunRecord)
    assert all(worker.poll() is None for worker in cluster.workers)


def test_what_a_lost_worker_was_doing_is_done_by_another(cluster, executor, tmp_path):
    runs = [troubled("slow", random_seed=seed) for seed in range(4)]
    outcomes = Sweep(executor, output_dir=tmp_path).execute(runs)
    first = next(outcomes)
    cluster.kill_worker()
    cluster.workers.append(cluster.add_worker())
    rest = list(outcomes)
    assert all(isinstance(outcome, RunRecord) for _, outcome in [first, *rest])
    assert len(list(tmp_path.rglob("*.json"))) == 4


def test_a_run_that_ends_its_workers_is_recorded_as_a_crash(cluster, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
        fragile = Cluster(tmp_path, workers=1)
    try:
        with DaskExecutor(fragile.address) as executor:
            sweep = Sweep(executor, output_dir=tmp_path / "results")
            ((_, failure),) = sweep.execute([troubled("kills_its_worker")])
    finally:
        fragile.close()
    assert failure.kind == "crash"
    assert failure.worker.startswith("tcp://")


def test_a_directory_that_workers_do_not_see_is_refused(executor, tmp_path, monkeypatch):
    from deepobs_bench import _dask

    monkeypatch.setattr(_dask, "_holds", len)  # ... as on a machine that has no such file
    with pytest.raises(OutputError, match="does not see the directory"):
        Sweep(executor, output_dir=tmp_path, shared_results=True)


def test_an_interruption_ends_what_workers_do(cluster):
    with pytest.raises(KeyboardInterrupt), DaskExecutor(cluster.address) as executor:
        while executor.capacity < 2:
            time.sleep(0.05)
        hours = executor.submit(time.sleep, 3600)
        executor.submit(int).result()  # on the other worker: the first one has begun
        raise KeyboardInterrupt
    assert hours.cancelled()
    with DaskExecutor(cluster.address) as executor:
        calls = [executor.submit(int) for _ in range(4)]
        assert [call.result(timeout=60) for call in calls] == [0] * 4


def test_workers_with_other_plugins_are_refused(tmp_path):
    metadata = tmp_path / "acme_obs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-obs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[deepobs]\nacme = acme_obs\n")
    (tmp_path / "acme_obs.py").write_text(offering("acme"))
    with refused(tmp_path) as message:
        assert "has acme-obs 1.0, the client has no acme-obs. Install the same" in message


def test_workers_without_deepobs_are_refused(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['deepobs'] = None\n")
    with refused(tmp_path) as message:
        assert re.search(r"The worker tcp://\S+ cannot execute runs: .*deepobs", message)


@contextlib.contextmanager
def refused(directory):
    """The error about a worker that finds other modules first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{directory}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        cluster = Cluster(directory, workers=1)
    try:
        with distributed.Client(cluster.address, set_as_default=False) as client:
            client.wait_for_workers(1)
        with pytest.raises(ExecutorError) as error:
            DaskExecutor(cluster.address)
        yield str(error.value)
    finally:
        cluster.close()


def test_a_lost_scheduler_is_a_clear_error_and_nothing_is_lost(tmp_path):
    cluster = Cluster(tmp_path, workers=1)
    runs = [specify("quadratic_deep", "SGD", num_epochs=1, random_seed=s) for s in range(200)]
    try:
        with DaskExecutor(cluster.address) as executor:
            outcomes = Sweep(executor, output_dir=tmp_path / "results").execute(runs)
            next(outcomes)
            cluster.scheduler.send_signal(signal.SIGKILL)
            with pytest.raises(ExecutorError, match="start the sweep again"):
                list(outcomes)
    finally:
        cluster.close()
    done = len(list(tmp_path.rglob("*.json"))) - 1
    again = Sweep(SerialExecutor(), output_dir=tmp_path / "results")
    assert len(again.pending(runs)) == 200 - done


def test_a_scheduler_that_does_not_answer_is_a_clear_error(monkeypatch):
    monkeypatch.setattr("deepobs_bench._dask._CONNECTION_SECONDS", 0.5)
    options = ExecutorOptions(scheduler="tcp://127.0.0.1:1")
    with pytest.raises(ExecutorError, match=r"No scheduler of Dask answers at 'tcp://127.0.0.1:1'"):
        open_executor("dask", options)


def test_without_an_address_the_error_says_where_it_comes_from():
    with pytest.raises(ArgumentError, match=r"--scheduler tcp://127.0.0.1:8786"):
        open_executor("dask", ExecutorOptions())
