"""Worker processes: real ones, which crash, hang, run out of memory and are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepobs.errors import ArgumentError
from deepobs.records import RunRecord
from deepobs.runs import specify
from deepobs_bench.executors import ExecutorOptions, open_executor
from deepobs_bench.failures import ExecutorError, RunStoppedError
from deepobs_bench.processes import Limit, WorkerProcesses
from deepobs_bench.sweep import Sweep

TROUBLE = """
import os, signal, sys, time
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

    def segfaults(self):
        import faulthandler
        faulthandler._sigsegv()

    def exits(self):
        os._exit(7)

    def exits_slowly(self):
        import atexit
        atexit.register(time.sleep, 0.5)
        raise KeyboardInterrupt

    def raises(self):
        raise ZeroDivisionError("no zero")

    def allocates(self):
        torch.empty(2**50)

    def hangs(self):
        time.sleep(600)

    def crowds(self):
        if os.fork() == 0:
            time.sleep(600)
        self.killed()

def surroundings():
    names = ("OMP_NUM_THREADS", "DEEPOBS_NUM_WORKERS")
    return torch.get_num_threads(), {name: os.environ[name] for name in names}
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """A directory on the import path with optimizers that make trouble."""
    directory = tmp_path_factory.mktemp("modules")
    (directory / "trouble.py").write_text(TROUBLE)
    sys.path.append(str(directory))
    yield directory
    sys.path.remove(str(directory))
    sys.modules.pop("trouble", None)


@pytest.fixture(scope="module")
def two_processes(modules):
    with WorkerProcesses(2, threads=1) as executor:
        yield executor


def troubled(kind, **arguments):
    options = {"num_epochs": 1, "device": "cpu"} | arguments
    return specify("quadratic_deep", "trouble:Trouble", {"kind": kind}, **options)


def test_runs_in_processes_give_the_numbers_of_this_process(two_processes, tmp_path):
    from deepobs_bench.executors import SerialExecutor

    runs = [specify("quadratic_deep", "SGD", num_epochs=1, random_seed=s) for s in range(4)]
    there = {o.run_id: o for _, o in Sweep(two_processes, output_dir=tmp_path).execute(runs)}
    here = Sweep(SerialExecutor(), output_dir=tmp_path / "here").execute(runs)
    for _, record in here:
        assert there[record.run_id].test_losses == record.test_losses
    assert len(list(tmp_path.glob("quadratic_deep/**/*.json"))) == 4


@pytest.mark.parametrize(
    ("kind", "shared_results", "recorded", "message"),
    [
        ("killed", True, "crash", "ended: SIGKILL, which is often how the system reacts"),
        ("crowds", False, "crash", "SIGKILL"),
        ("exits", True, "crash", "ended: exit code 7."),
        ("exits_slowly", True, "crash", "ended: SIGINT."),
        ("raises", True, "error", "ZeroDivisionError: no zero"),
        ("raises", False, "error", "ZeroDivisionError: no zero"),
        ("allocates", False, "out_of_memory", "allocate"),
    ],
)
def test_trouble_of_one_run_is_its_outcome_and_harms_no_other(
    two_processes, tmp_path, kind, shared_results, recorded, message
):
    runs = [troubled("none"), troubled(kind), troubled("none", random_seed=1)]
    sweep = Sweep(two_processes, output_dir=tmp_path, shared_results=shared_results)
    outcomes = {each.run_id: outcome for each, outcome in sweep.execute(runs)}
    failure = outcomes.pop(runs[1].run_id)
    assert failure.kind == recorded
    assert message in failure.message
    assert failure.log.startswith("a step is taken\n")
    assert all(isinstance(outcome, RunRecord) for outcome in outcomes.values())
    assert len(list(tmp_path.rglob("*.failure"))) == 1


def test_a_segmentation_fault_is_named_and_shown_in_the_log(two_processes, tmp_path):
    sweep = Sweep(two_processes, output_dir=tmp_path)
    ((_, failure),) = sweep.execute([troubled("segfaults")])
    assert failure.message == "The process of the run ended: SIGSEGV."
    assert "Fatal Python error: Segmentation fault" in failure.log
    assert "trouble.py" in failure.log


def test_a_run_that_hangs_is_killed(modules, tmp_path):
    with WorkerProcesses(1, limit=Limit(0.5, 1.0)) as executor:
        sweep = Sweep(executor, output_dir=tmp_path, time_limit=0.5)
        ((_, failure),) = sweep.execute([troubled("hangs")])
        assert failure.kind == "time_limit"
        assert failure.message.startswith("The time limit of 0.5 s was reached. The run did not")
        ((_, record),) = sweep.execute([troubled("none")])
    assert isinstance(record, RunRecord)


def test_a_process_that_died_in_idleness_costs_no_run(two_processes):
    pid = two_processes.submit(os.getpid).result()
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert pid not in {two_processes.submit(os.getpid).result() for _ in range(4)}


@pytest.fixture
def path_of_workers(tmp_path, monkeypatch):
    """A directory that comes first on the import path of new interpreters."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems fork no workers")
def test_workers_are_forked_from_one_process_that_ends_with_them(modules):
    with WorkerProcesses(2, threads=1) as executor:
        pids = {executor.submit(os.getpid).result() for _ in range(4)}
        (template,) = {executor.submit(os.getppid).result() for _ in range(4)}
    assert len(pids) == 2
    assert template not in {os.getpid(), *pids}
    assert not any(map(is_running, {template, *pids}))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems fork no workers")
def test_workers_start_again_after_the_process_they_are_forked_from_was_killed(modules):
    with WorkerProcesses(1) as executor:
        template = executor.submit(os.getppid).result()
        os.kill(template, signal.SIGKILL)
        while is_running(template):
            time.sleep(0.01)
        assert executor.submit(os.getppid).result() != template


FORKED_TEMPLATE = """
import os
from pathlib import Path
from deepobs_bench._starts import forked_template

with forked_template(1, None):
    from deepobs_bench.failures import RunStoppedError
    from deepobs_bench.processes import WorkerProcesses

    print("written before the fork, and once")
    with WorkerProcesses(1) as executor:
        template = executor.submit(os.getppid).result()
        print("command line", Path(f"/proc/{template}/cmdline").read_text().split(chr(0))[:2])
        print("directories", os.getcwd() == executor.submit(os.getcwd).result())
        print("workers", executor.submit(os.getenv, "DEEPOBS_NUM_WORKERS").result() is not None)
        print("here", os.getenv("DEEPOBS_NUM_WORKERS"))
        executor.submit(print, "printed by a worker").result()
        try:
            executor.submit(os._exit, 7).result()
        except RunStoppedError as error:
            print(error)
        print("again", executor.submit(os.getppid).result() == template)
    try:
        os.kill(template, 0)
    except ProcessLookupError:
        print("ended")
with forked_template(1, None):
    print("torch was imported before")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems fork no workers")
def test_a_command_and_its_workers_import_torch_once(monkeypatch):
    monkeypatch.delenv("DEEPOBS_NUM_WORKERS", raising=False)
    words = [sys.executable, "-c", FORKED_TEMPLATE]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert shown.splitlines() == [
        "written before the fork, and once",
        f"command line {words[:2]}",
        "directories True",
        "workers True",
        "here None",
        "The process of the run ended: exit code 7.",
        "again True",
        "ended",
        "torch was imported before",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems fork no workers")
def test_a_fork_that_no_executor_uses_ends_with_its_block():
    program = (
        "import os\n"
        "from pathlib import Path\n"
        "from deepobs_bench import _starts\n"
        "with _starts.forked_template(1, None):\n"
        "    pass\n"
        "print(Path('/proc/self/task', str(os.getpid()), 'children').read_text())\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert not shown.stdout.strip()


def test_workers_are_interpreters_of_their_own_where_a_fork_would_be_unsafe(path_of_workers):
    (path_of_workers / "sitecustomize.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=[600], daemon=True).start()\n"
    )
    with WorkerProcesses(2, threads=1) as executor:
        parents = {executor.submit(os.getppid).result() for _ in range(4)}
    assert parents == {os.getpid()}


KILLED_AT_START = """
import os, signal
from pathlib import Path

if "DEEPOBS_NUM_WORKERS" in os.environ:  # in a worker process, not in its parent
    for mark in Path(os.environ["MARKS"]).iterdir():
        mark.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("kills", "is_tried_enough"), [(2, True), (3, False)])
def test_a_process_that_is_killed_while_it_starts_is_replaced(
    tmp_path, monkeypatch, kills, is_tried_enough
):
    (tmp_path / "marks").mkdir()
    for number in range(kills):
        (tmp_path / "marks" / str(number)).touch()
    (tmp_path / "sitecustomize.py").write_text(KILLED_AT_START)
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with WorkerProcesses(1) as executor:
        call = executor.submit(divmod, 7, 2)
        if is_tried_enough:
            assert call.result() == (3, 1)
        else:
            with pytest.raises(ExecutorError, match="cannot be started: SIGKILL"):
                call.result()


def test_what_a_call_raises_comes_back(two_processes):
    with pytest.raises(ZeroDivisionError):
        two_processes.submit(divmod, 1, 0).result()


def test_what_cannot_be_pickled_is_an_error_of_its_call(two_processes):
    with pytest.raises(Exception, match="pickle"):
        two_processes.submit(lambda: 1).result()
    with pytest.raises(Exception, match="pickle"):
        two_processes.submit(eval, "lambda: 1").result()
    assert two_processes.submit(divmod, 7, 2).result() == (3, 1)


def test_the_cores_are_shared_out(modules, monkeypatch):
    from trouble import surroundings

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with WorkerProcesses(1, threads=3) as executor:
        threads, variables = executor.submit(surroundings).result()
    assert (threads, variables["OMP_NUM_THREADS"]) == (3, "3")
    assert int(variables["DEEPOBS_NUM_WORKERS"]) >= 1


def test_the_bits_of_a_run_do_not_depend_on_the_number_of_jobs(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    runs = [specify("quadratic_deep", "SGD", num_epochs=1, random_seed=seed) for seed in (1, 2)]

    def executed(place, jobs, **options):
        with WorkerProcesses(jobs, **options) as executor:
            sweep = Sweep(executor, output_dir=tmp_path / place)
            records = sorted(
                (one for _, one in sweep.execute(runs)), key=lambda one: one.random_seed
            )
        return [(one.hardware["torch_threads"], one.test_losses) for one in records]

    alone = executed("alone", 1)
    assert [threads for threads, _ in alone] == [1, 1]
    assert executed("together", 2) == alone
    assert [threads for threads, _ in executed("chosen", 1, threads=2)] == [2, 2]


def test_an_executor_that_is_left_by_an_error_kills_what_runs():
    executor = WorkerProcesses(1)
    with pytest.raises(KeyboardInterrupt), executor:
        call = executor.submit(time.sleep, 600)
        queued = executor.submit(time.sleep, 600)
        raise KeyboardInterrupt
    assert isinstance(call.exception(), (RunStoppedError, ExecutorError))
    assert queued.cancelled()


def test_processes_end_with_their_parent_even_if_it_is_killed(tmp_path):
    program = (
        "import os, time\n"
        "from deepobs_bench.processes import WorkerProcesses\n"
        "executor = WorkerProcesses(1)\n"
        "print(executor.submit(os.getpid).result(), flush=True)\n"
        "executor.submit(time.sleep, 600)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 20
    while is_running(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Orphans that nobody waits for stay in the table of processes.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_process_that_cannot_start_is_a_clear_error(modules, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with WorkerProcesses(1) as executor:
        call = executor.submit(os.getpid)
        with pytest.raises(ExecutorError, match="A worker process cannot be started: exit code 1"):
            call.result()


def test_an_interruption_while_processes_start_ends_them_at_once(modules, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    executor = WorkerProcesses(1)
    call = executor.submit(os.getpid)
    while not call.running():
        time.sleep(0.01)
    executor.kill_workers()
    with pytest.raises(ExecutorError, match="The worker processes were ended"):
        call.result(timeout=5)


def test_a_time_limit_beyond_all_timers_is_as_good_as_none(modules):
    with WorkerProcesses(1, limit=Limit(1e300, 1e300)) as executor:
        assert executor.submit(os.getcwd).result() == os.getcwd()  # noqa: PTH109 # what is called


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("processes", ExecutorOptions(scheduler="tcp://a:1"), "--executor dask"),
        (
            "dask",
            ExecutorOptions(scheduler="tcp://a:1", devices=("cpu",)),
            "cannot be distributed",
        ),
    ],
)
def test_options_that_an_executor_would_not_heed_are_refused(name, options, message):
    with pytest.raises(ArgumentError, match=message):
        open_executor(name, options)


@pytest.mark.parametrize("options", [{"jobs": 0}, {"threads": 0}, {"devices": ["cuda:99"]}])
def test_what_cannot_be_is_refused(options):
    with pytest.raises(ArgumentError):
        WorkerProcesses(**options)
