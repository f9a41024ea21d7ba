"""Packs of runs in sweeps: in real processes, which crash, and beside other sweeps."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

import pytest
from small_classifier import Classifier
from torch import nn

from deepobs.errors import ArgumentError
from deepobs.records import RunRecord
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.checkpoints import CheckpointPlan
from deepobs_bench._tasks import RunTask, claimed, execute, execute_together
from deepobs_bench.executors import ExecutorOptions, open_executor
from deepobs_bench.failures import Failure
from deepobs_bench.packs import PackedProcesses, packs_in_words
from deepobs_bench.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification


def runs(*rates: float, problem: Any = "quadratic_deep", **options: Any) -> list[RunSpecification]:
    options = {"num_epochs": 1, "device": "cpu"} | options
    return [specify(problem, "SGD", {"lr": rate}, **options) for rate in rates]


def tasks(
    specifications: Sequence[RunSpecification], output_dir: Path, **options: Any
) -> list[Any]:
    return [RunTask(specification=one, output_dir=output_dir, **options) for one in specifications]


def sizes(outcomes: Sequence[Any]) -> list[int | None]:
    """How many runs each was packed with."""
    assert all(isinstance(one, RunRecord) for one in outcomes), outcomes
    return [one.packed for one in outcomes]


class Normalizes(Classifier):
    """Its model cannot be stacked."""

    def network(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


ENDS_PROCESS = """
import os
from deepobs.runs import RunObserver

class EndsProcess(RunObserver):
    def run_started(self, specification, steps_per_epoch, resumed_at):
        if specification.hyperparameters["lr"] == 0.2:
            os._exit(7)
"""


class Refuses(RunObserver):
    """Ends the run with a learning rate."""

    def epoch_ended(self, epoch: int, metrics: Any) -> None:
        raise ZeroDivisionError("no zero")


@pytest.fixture(scope="module")
def packed() -> Iterator[PackedProcesses]:
    """Packs of three."""
    with PackedProcesses(size=3, threads=1) as executor:
        yield executor


def test_a_sweep_packs_what_differs_in_hyperparameters_alone(
    packed: PackedProcesses, tmp_path: Path
) -> None:
    # In an order in which neighbors have different seeds, as those of an experiment.
    planned = [
        one
        for rate in (0.01, 0.02, 0.03, 0.04)
        for seed in (1, 2)
        for one in runs(rate, random_seed=seed)
    ]
    odd = specify("quadratic_deep", "LBFGS", {"lr": 0.1}, num_epochs=1, device="cpu")
    sweep = Sweep(packed, output_dir=tmp_path)
    outcomes = {one.run_id: outcome for one, outcome in sweep.execute([*planned, odd])}
    assert sizes([outcomes[one.run_id] for one in planned]) == [3] * 6 + [None] * 2
    assert sizes([outcomes[odd.run_id]]) == [None]
    for one in (planned[0], planned[5]):
        found = outcomes[one.run_id]
        assert isinstance(found, RunRecord)
        assert found.test_losses == pytest.approx(run(one).record.test_losses, rel=1e-6)
    assert len(list(tmp_path.rglob("*.json"))) == 9
    assert not list(tmp_path.rglob("*.lock"))
    assert all(not was_new for was_new in map(sweep.pending, [planned, [odd]]))


def test_when_a_process_dies_the_others_of_its_pack_are_executed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ending.py").write_text(ENDS_PROCESS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    observers = [importlib.import_module("ending").EndsProcess()]
    with PackedProcesses(size=3, threads=1) as executor:
        sweep = Sweep(executor, output_dir=tmp_path / "results", observers=observers)
        ended = list(sweep.execute(runs(0.1, 0.2, 0.3)))
    outcomes = {one.hyperparameters["lr"]: outcome for one, outcome in ended}
    failure = outcomes.pop(0.2)
    assert isinstance(failure, Failure)
    assert failure.kind == "crash"
    assert sizes(list(outcomes.values())) == [None, None]


def test_a_run_that_another_process_executes_does_not_hold_up_its_pack(
    packed: PackedProcesses, tmp_path: Path
) -> None:
    planned = runs(0.1, 0.2, 0.3)
    with contextlib.ExitStack() as claim:
        assert claim.enter_context(claimed(tmp_path, planned[1]))
        sweep = Sweep(packed, output_dir=tmp_path, tell=lambda _: claim.close())
        outcomes = [outcome for _, outcome in sweep.execute(planned)]
    assert sizes(outcomes) == [2, 2, None]


def test_nothing_more_begins_when_the_caller_stops(tmp_path: Path) -> None:
    planned = runs(*[rate / 1000 for rate in range(1, 10)])
    with PackedProcesses(size=2, threads=1) as executor:
        outcomes = Sweep(executor, output_dir=tmp_path).execute(planned)
        next(outcomes)
        outcomes.close()  # type: ignore[attr-defined]
    assert len(list(tmp_path.rglob("*.json"))) in (2, 4)


def test_an_interruption_cancels_runs_that_wait_for_others(tmp_path: Path) -> None:
    (task,) = tasks(runs(0.1), tmp_path)
    with pytest.raises(KeyboardInterrupt), PackedProcesses(size=3, threads=1) as executor:
        executor.submit(execute, task)
        raise KeyboardInterrupt
    assert not list(tmp_path.rglob("*.json"))


def test_runs_whose_model_cannot_be_stacked_are_executed_one_by_one(tmp_path: Path) -> None:
    planned = runs(0.1, 0.2, problem=Normalizes)
    assert sizes(execute_together(tasks(planned, tmp_path))) == [None, None]
    assert len(list(tmp_path.rglob("*.json"))) == 2


def test_a_run_that_fails_leaves_its_pack_and_is_recorded(tmp_path: Path) -> None:
    first, second = runs(0.1, 0.2)
    odd = RunTask(specification=first, output_dir=tmp_path, observers=(Refuses(),))
    failure, record = execute_together([odd, *tasks([second], tmp_path)])
    assert isinstance(failure, Failure)
    assert "no zero" in failure.message
    assert sizes([record]) == [2]
    assert len(list(tmp_path.rglob("*.failure"))) == 1


def test_the_time_limit_of_a_pack_is_that_of_all_its_runs(tmp_path: Path) -> None:
    generous = execute_together(tasks(runs(0.1, 0.2), tmp_path, time_limit=600.0))
    assert sizes(generous) == [2, 2]
    hasty = execute_together(tasks(runs(0.3, 0.4), tmp_path, time_limit=1e-9))
    kinds = [one.kind for one in hasty if isinstance(one, Failure)]
    assert kinds == ["time_limit", "time_limit"]


def test_a_result_that_exists_is_not_packed_again(tmp_path: Path) -> None:
    planned = runs(0.1, 0.2, 0.3)
    before = run(planned[0], output_dir=tmp_path).record
    outcomes = execute_together(tasks(planned, tmp_path))
    assert outcomes[0] == before
    assert sizes(outcomes[1:]) == [2, 2]


def test_the_plan_says_how_many_runs_are_packed_and_why_others_are_not() -> None:
    planned = [
        *runs(0.1, 0.2, 0.3),
        *runs(0.1, problem="two_d_beale"),
        *runs(0.1, 0.2, problem=Normalizes),
        specify("quadratic_deep", "LBFGS", {"lr": 0.1}),
    ]
    text = packs_in_words(planned, [], 2)
    assert text.startswith("3 runs in 2 packs of up to 2, ")
    assert "2 runs of SGD on tests.bench.test_packs:Normalizes alone: its model has running" in text
    assert "1 run of LBFGS on quadratic_deep alone: its optimizer needs another step" in text
    assert "1 run alone: no other run differs in hyperparameters only." in text
    text = packs_in_words(planned, planned, 2, reason="they write checkpoints")
    assert text.startswith("0 runs in 0 packs")
    assert "runs of tunings alone: SGD on quadratic_deep: they write checkpoints" in text


def test_runs_with_checkpoints_are_not_packed(packed: PackedProcesses, tmp_path: Path) -> None:
    sweep = Sweep(packed, output_dir=tmp_path, checkpoints=CheckpointPlan())
    assert sizes([outcome for _, outcome in sweep.execute(runs(0.1, 0.2))]) == [None, None]


@pytest.mark.parametrize("name", ["processes", "dask"])
def test_executors_that_pack_nothing_refuse_to_be_told_how_many(name: str) -> None:
    with pytest.raises(ArgumentError, match="--executor packed"):
        open_executor(name, ExecutorOptions(pack=4))


def test_commands_pack_runs_and_say_so_before(
    command_line: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "experiment.toml").write_text(
        'problems = ["quadratic_deep"]\n[defaults]\nepochs = 1\n'
        "[optimizers.SGD]\ngrid.lr = [0.1, 0.01, 0.001]\n"
    )
    arguments = ("experiment.toml", "--executor", "packed", "--pack", "2", "--out", "here")
    code, out, _ = command_line("bench", *arguments, "--dry-run", "--no-estimate")
    assert code == 0
    assert "3 runs in 2 packs of up to 2" in out
    code, out, _ = command_line("bench", *arguments, "--no-estimate")
    assert code == 0
    assert "3 runs in 2 packs of up to 2" in out
    texts = [path.read_text() for path in (tmp_path / "here").rglob("*.json")]
    assert sum('"packed": 2' in text for text in texts) == 2
    code, _, err = command_line("bench", "experiment.toml", "--pack", "2", "--no-estimate")
    assert code == 2
    assert "--executor packed" in err
