"""Sweeps on executors that work in this process; other processes have tests of their own."""

from __future__ import annotations

import json
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from deepobs import config
from deepobs.errors import ArgumentError, OutputError
from deepobs.records import RunRecord
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.checkpoints import CheckpointPlan
from deepobs_bench._tasks import claimed
from deepobs_bench.executors import SerialExecutor
from deepobs_bench.failures import ExecutorError, Failure, RunStoppedError, find_failure
from deepobs_bench.sweep import Sweep


def runs(*learning_rates, **arguments):
    options = {"num_epochs": 1, "device": "cpu"} | arguments
    return [specify("quadratic_deep", "SGD", {"lr": lr}, **options) for lr in learning_rates]


def results(directory):
    return sorted(directory.rglob("*.json"))


class Counter(RunObserver):
    """Counts executed runs."""

    def __init__(self):
        self.started = 0

    def run_started(self, specification, steps_per_epoch, resumed_at):
        self.started += 1


class Stopper(RunObserver):
    """Ends runs with a learning rate, and counts how often."""

    def __init__(self, learning_rate, error):
        self.learning_rate = learning_rate
        self.error = error
        self.stopped = 0

    def run_started(self, specification, steps_per_epoch, resumed_at):
        if specification.hyperparameters["lr"] == self.learning_rate:
            self.stopped += 1
            raise self.error


class AfterEpoch(RunObserver):
    """Ends a run after an epoch, and counts the reports of training until then."""

    def __init__(self, epoch):
        self.epoch = epoch
        self.steps = 0

    def steps_taken(self, steps, metrics):
        self.steps += 7  # of an epoch

    def epoch_ended(self, epoch, metrics):
        if epoch == self.epoch:
            raise RunStoppedError("pruned", "enough")


@pytest.fixture(params=["workers write", "records come back"])
def sweep(request, tmp_path):
    """Makes sweeps in one directory."""

    def make(executor=None, **options):
        shared = request.param == "workers write"
        executor = executor or SerialExecutor()
        return Sweep(executor, output_dir=tmp_path, shared_results=shared, **options)

    return make


def test_every_run_is_carried_out_and_kept(sweep, tmp_path):
    outcomes = {
        specification.run_id: outcome for specification, outcome in sweep().execute(runs(1, 2))
    }
    assert set(outcomes) == {each.run_id for each in runs(1, 2)}
    assert all(isinstance(outcome, RunRecord) for outcome in outcomes.values())
    assert len(results(tmp_path)) == 2


def test_a_run_that_is_there_is_not_done_again(sweep, tmp_path):
    first = list(sweep().execute(runs(0.1, 0.2)))
    counter = Counter()
    again = list(sweep(observers=[counter]).execute(runs(0.3, 0.2, 0.1)))
    assert counter.started == 1
    assert again[:2] == first[::-1]
    assert len(results(tmp_path)) == 3


def test_what_is_missing_is_known_before(sweep):
    list(sweep().execute(runs(0.1)))
    assert sweep().pending(runs(0.1, 0.2, 0.2)) == runs(0.2)


def test_a_run_that_is_asked_for_twice_is_carried_out_once(sweep):
    counter = Counter()
    outcomes = list(sweep(observers=[counter]).execute(runs(0.1, 0.1)))
    assert (len(outcomes), counter.started) == (1, 1)


def test_a_run_that_fails_is_recorded_and_does_not_end_the_sweep(sweep, tmp_path):
    stopper = Stopper(0.2, ZeroDivisionError("no zero"))
    outcomes = list(sweep(observers=[stopper]).execute(runs(0.1, 0.2, 0.3)))
    assert [type(outcome) for _, outcome in outcomes] == [RunRecord, Failure, RunRecord]
    failure = outcomes[1][1]
    assert (failure.kind, failure.message) == ("error", "ZeroDivisionError: no zero")
    assert "raise self.error" in failure.log
    assert failure.command.startswith("deepobs run quadratic_deep SGD --lr 0.2")
    assert find_failure(tmp_path, runs(0.2)[0]) == failure
    (path,) = tmp_path.rglob("*.failure")
    assert json.loads(path.read_text())["kind"] == "error"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "out_of_memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), "out_of_memory"),
        (RunStoppedError("pruned", "not promising"), "pruned"),
        (SystemExit(3), "error"),
    ],
)
def test_the_kind_of_a_failure_is_told(sweep, error, kind):
    ((_, failure),) = sweep(observers=[Stopper(0.1, error)]).execute(runs(0.1))
    assert failure.kind == kind


def test_a_run_that_takes_too_long_is_ended(sweep):
    ((_, failure),) = sweep(time_limit=1e-6).execute(runs(0.1))
    assert failure.kind == "time_limit"
    assert failure.message.startswith("The time limit of 1e-06 s was reached after epoch 0")


def test_a_failed_run_is_tried_again_in_the_next_sweep_but_not_in_the_same(sweep):
    stopper = Stopper(0.1, ValueError("no"))
    failing = sweep(observers=[stopper])
    first, second = list(failing.execute(runs(0.1))), list(failing.execute(runs(0.1)))
    assert (first, stopper.stopped) == (second, 1)
    ((_, outcome),) = sweep().execute(runs(0.1))
    assert isinstance(outcome, RunRecord)


def test_failures_of_earlier_sweeps_are_left_alone_if_asked(sweep):
    first = list(sweep(observers=[Stopper(0.1, ValueError("no"))]).execute(runs(0.1)))
    assert list(sweep(skip_failed=True).execute(runs(0.1))) == first


def test_threads_give_the_same_numbers_as_one_run_after_the_other(sweep, tmp_path):
    with ThreadPoolExecutor(3) as threads:
        outcomes = sorted(
            (outcome.run_id, outcome.test_losses)
            for _, outcome in sweep(threads).execute(runs(0.1, 0.2, 0.3, 0.4))
        )
    alone = Sweep(SerialExecutor(), output_dir=tmp_path / "alone")
    assert outcomes == sorted(
        (outcome.run_id, outcome.test_losses)
        for _, outcome in alone.execute(runs(0.1, 0.2, 0.3, 0.4))
    )


@pytest.mark.parametrize("writes", [True, False], ids=["finishes", "gives up"])
def test_a_run_that_another_process_holds_is_waited_for(sweep, tmp_path, writes):
    held, free = runs(0.1, 0.2)
    told, counter = [], Counter()
    with claimed(tmp_path, held) as is_ours:
        assert is_ours
        outcomes = sweep(tell=told.append, observers=[counter]).execute([held, free])
        assert next(outcomes)[0] == free
        if writes:
            run(held, output_dir=tmp_path)
    assert [specification for specification, _ in outcomes] == [held]
    assert told == ["Another process is executing 1 of the runs: waiting for it."]
    assert counter.started == (1 if writes else 2)
    assert len(results(tmp_path)) == 2


def test_when_the_caller_stops_nothing_more_is_handed_out(sweep):
    counter = Counter()
    outcomes = sweep(observers=[counter]).execute(runs(0.1, 0.2, 0.3))
    next(outcomes)
    outcomes.close()
    assert counter.started == 1
    assert len(sweep().pending(runs(0.1, 0.2, 0.3))) == 2


class Broken(Executor):
    """An executor whose workers are gone."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_exception(ConnectionError("gone"))
        return future


def test_an_executor_that_fails_ends_the_sweep_with_a_clear_error(sweep):
    with pytest.raises(ExecutorError, match=r"ConnectionError: gone.*start the sweep again"):
        list(sweep(Broken()).execute(runs(0.1)))
    assert isinstance(next(sweep().execute(runs(0.1)))[1], RunRecord)  # no claim is left


def test_an_executor_that_was_shut_down_is_a_clear_error(sweep):
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    with pytest.raises(ExecutorError, match="after shutdown"):
        list(sweep(threads).execute(runs(0.1)))


def test_checkpoints_need_workers_that_write(tmp_path):
    options = {"output_dir": tmp_path, "checkpoints": CheckpointPlan(every_epochs=1, resume=True)}
    with pytest.raises(ArgumentError, match="--shared-results"):
        Sweep(SerialExecutor(), shared_results=False, **options)


def test_a_run_of_a_sweep_goes_on_from_its_checkpoint(tmp_path):
    plan = CheckpointPlan(every_epochs=1, resume=True)
    interrupted = Sweep(
        SerialExecutor(), output_dir=tmp_path, checkpoints=plan, observers=[AfterEpoch(2)]
    )
    (specification,) = runs(0.01, num_epochs=4)
    ((_, failure),) = interrupted.execute([specification])
    assert failure.kind == "pruned"
    watcher = AfterEpoch(99)
    resumed = Sweep(SerialExecutor(), output_dir=tmp_path, checkpoints=plan, observers=[watcher])
    ((_, record),) = resumed.execute([specification])
    assert record.test_losses == run(specification).record.test_losses
    assert watcher.steps < record.steps


def test_a_directory_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        Sweep(SerialExecutor(), output_dir=tmp_path / "file")


def test_an_open_device_is_that_of_the_worker(sweep):
    elsewhere = runs(0.1)[0].model_copy(update={"device": "cuda:7"})
    config.set_default_device("cpu")
    ((_, record),) = sweep(device_is_open=True).execute([elsewhere])
    assert record.device == "cpu"


def test_settings_of_this_process_go_to_the_worker(tmp_path):
    config.set_data_dir("data of mine")
    config.set_num_workers(3)
    config.set_default_device("cpu")
    assert config.chosen() == {"data_dir": tmp_path.cwd() / "data of mine", "num_workers": 3}
