"""Executors of other packages: pools that break, functions that wait, and what is refused."""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import distributed
import pytest
from lost_workers import Kills

from deepobs.errors import ArgumentError
from deepobs.records import RunRecord
from deepobs.runs import specify
from deepobs_bench.executors import ExecutorOptions, SerialExecutor, open_executor
from deepobs_bench.failures import ExecutorError, Failure, find_failure
from deepobs_bench.pools import CallExecutor, RebuildablePool
from deepobs_bench.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification

KILLING = 0.02


def runs(*learning_rates: float) -> list[RunSpecification]:
    options: dict[str, Any] = {"num_epochs": 1, "device": "cpu"}
    return [specify("quadratic_deep", "SGD", {"lr": lr}, **options) for lr in learning_rates]


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.BaseContext:
    """Processes that are forked from one that has imported what the first optimizer imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["deepobs_bench._tasks", "torch._dynamo"])
    return context


@pytest.fixture
def pool(processes: multiprocessing.context.BaseContext) -> Iterator[RebuildablePool]:
    with RebuildablePool(lambda: ProcessPoolExecutor(2, mp_context=processes), jobs=2) as pool:
        yield pool


# Pools that break


@pytest.mark.parametrize("shared_results", [True, False])
def test_a_pool_that_breaks_is_rebuilt_and_every_run_has_its_result(
    pool: RebuildablePool, tmp_path: Path, shared_results: bool
) -> None:
    token, told = tmp_path / "token", []
    token.touch()
    sweep = Sweep(
        pool,
        output_dir=tmp_path / "there",
        shared_results=shared_results,
        observers=[Kills(KILLING, token)],
        tell=told.append,
    )
    planned = runs(0.01, KILLING, 0.03, 0.04, 0.05, 0.06)
    outcomes = list(sweep.execute(planned))
    assert not token.exists()
    assert [text.partition(":")[0] for text in told] == ["The executor lost a run"]
    here = Sweep(SerialExecutor(), output_dir=tmp_path / "here").execute(planned)
    expected = sorted((one.run_id, outcome.test_losses) for one, outcome in here)
    assert sorted((one.run_id, outcome.test_losses) for one, outcome in outcomes) == expected
    assert len(list((tmp_path / "there").rglob("*.json"))) == len(planned)


def test_a_run_that_breaks_the_pool_on_its_own_is_recorded_as_failed(
    pool: RebuildablePool, tmp_path: Path
) -> None:
    planned = runs(0.01, KILLING, 0.03, 0.04)
    sweep = Sweep(pool, output_dir=tmp_path, observers=[Kills(KILLING)])
    outcomes = {one.run_id: outcome for one, outcome in sweep.execute(planned)}
    failure = outcomes.pop(planned[1].run_id)
    assert isinstance(failure, Failure)
    assert failure.kind == "crash"
    assert failure.message.startswith("The run was lost twice, the second time when it was ")
    assert "BrokenProcessPool" in failure.message
    assert find_failure(tmp_path, planned[1]) == failure
    assert [type(outcome) for outcome in outcomes.values()] == 3 * [RunRecord]


def test_a_pool_that_executes_nothing_ends_the_sweep(
    processes: multiprocessing.context.BaseContext, tmp_path: Path
) -> None:
    def make() -> Executor:
        return ProcessPoolExecutor(1, mp_context=processes, initializer=exit)

    with RebuildablePool(make) as pool, pytest.raises(ExecutorError, match=r"failed: BrokenProc"):
        list(Sweep(pool, output_dir=tmp_path).execute(runs(0.01, 0.02)))
    assert list(tmp_path.rglob("*.failure")) == []


def test_a_pool_that_cannot_be_made_anew_is_a_clear_error() -> None:
    first = [ThreadPoolExecutor(1)]

    def make() -> Executor:
        if not first:
            raise ConnectionError("no such cluster")
        return first.pop()

    pool = RebuildablePool(make)
    with pytest.raises(ExecutorError, match="made anew: ConnectionError: no such cluster"):
        pool.rebuild()


def test_a_broken_executor_that_cannot_be_rebuilt_says_how_it_can(
    processes: multiprocessing.context.BaseContext, tmp_path: Path
) -> None:
    with ProcessPoolExecutor(1, mp_context=processes) as executor:
        sweep = Sweep(executor, output_dir=tmp_path, observers=[Kills(KILLING)])
        with pytest.raises(ExecutorError, match="RebuildablePool"):
            list(sweep.execute(runs(KILLING)))


# Functions that wait


def test_a_function_that_waits_makes_an_executor(tmp_path: Path) -> None:
    ended: list[bool] = []
    planned = runs(0.01, 0.02, 0.03)
    with CallExecutor(lambda call: call(), 2, end=lambda: ended.append(True)) as executor:
        outcomes = list(Sweep(executor, output_dir=tmp_path).execute(planned))
        assert ended == []
    assert ended == [True]
    assert sorted(one.run_id for one, _ in outcomes) == sorted(one.run_id for one in planned)
    assert all(isinstance(outcome, RunRecord) for _, outcome in outcomes)


def test_a_call_that_is_lost_is_tried_once_more(tmp_path: Path) -> None:
    losses = [ConnectionError("the machine is gone")]

    def call(function: Callable[[], Any]) -> Any:
        if losses:
            raise losses.pop()
        return function()

    pool = RebuildablePool(lambda: CallExecutor(call, 1))
    told: list[str] = []
    ((_, outcome),) = Sweep(pool, output_dir=tmp_path, tell=told.append).execute(runs(0.01))
    assert isinstance(outcome, RunRecord)
    assert "ConnectionError: the machine is gone. It is built anew" in told[0]


# Silence


class Silent(Executor):
    """An executor that loses all calls, and does not notice."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


def test_a_limit_of_silence_ends_the_wait_for_workers(tmp_path: Path) -> None:
    sweep = Sweep(Silent(), output_dir=tmp_path, silence_limit=0.1)
    message = r"No run has ended for 100 ms, the limit of silence, and 2 runs did not end"
    with pytest.raises(ExecutorError, match=message):
        list(sweep.execute(runs(0.01, 0.02)))
    ((_, outcome),) = Sweep(SerialExecutor(), output_dir=tmp_path).execute(runs(0.01))
    assert isinstance(outcome, RunRecord)  # no claim is left


@pytest.mark.parametrize("limit", [0, -1, "1h", float("nan")])
def test_a_limit_of_silence_is_a_positive_number(tmp_path: Path, limit: Any) -> None:
    with pytest.raises(ArgumentError, match="silence_limit must be a positive number of seconds"):
        Sweep(SerialExecutor(), output_dir=tmp_path, silence_limit=limit)


# What is refused


@pytest.mark.parametrize(
    ("engine", "instead"),
    [
        (multiprocessing, r"concurrent\.futures\.ProcessPoolExecutor\(\)"),
        (multiprocessing.pool.ThreadPool, r"concurrent\.futures\.ProcessPoolExecutor\(\)"),
        (distributed.Client, r"client\.get_executor\(\), or on the command line --executor dask"),
        (object(), r"CallExecutor\(call\), where call\(function\) .*from deepobs_bench\.pools"),
    ],
)
def test_what_is_no_executor_is_refused_with_what_to_give_in_its_place(
    tmp_path: Path, engine: Any, instead: str
) -> None:
    message = rf"must be a concurrent\.futures\.Executor, got .*Give {instead}\."
    with pytest.raises(ArgumentError, match=message):
        Sweep(engine, output_dir=tmp_path)
    with pytest.raises(ArgumentError, match=message):
        RebuildablePool(lambda: engine)


# By name


ENGINES = """
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

def threads(options):
    return ThreadPoolExecutor(options.jobs)

def thread_pool(options):
    return ThreadPool

jobs = 3
"""


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of one's own with engines."""
    (tmp_path / "engines_of_mine.py").write_text(ENGINES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("engines")
def test_a_function_of_ones_own_makes_an_executor_that_is_rebuilt() -> None:
    options = ExecutorOptions(jobs=3, shared_results=True)
    with open_executor("engines_of_mine:threads", options) as executor:
        assert isinstance(executor, RebuildablePool)
        assert executor.capacity == 6
        assert executor.shares_directory
        assert executor.submit(abs, -1).result() == 1


@pytest.mark.usefixtures("engines")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("thread_pool", "ProcessPoolExecutor"),
        ("jobs", "is 3. It must be a function or a class"),
        ("jbos", "cannot be imported from 'engines_of_mine:jbos'"),
    ],
)
def test_the_command_refuses_what_makes_no_executor(
    command_line: Callable[..., tuple[int, str, str]], tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "one.toml").write_text(
        'problems = ["quadratic_deep"]\n[defaults]\nepochs = 1\n[optimizers.SGD]\ngrid.lr = [0.01]'
    )
    executor = f"engines_of_mine:{name}"
    code, _, error = command_line("bench", "one.toml", "--no-estimate", "--executor", executor)
    assert code == 2
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("*.json"))


def test_the_command_refuses_a_limit_of_silence_that_is_no_time(
    command_line: Callable[..., tuple[int, str, str]],
) -> None:
    code, _, error = command_line("bench", "one.toml", "--silence-limit", "5epochs")
    assert code == 2
    assert "'5epochs' is no duration, such as 30s, 10min or 1.5h." in error
