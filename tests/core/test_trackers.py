"""Trackers of experiments: how they are found, what they are given, and that they end no run."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import pytest
from interruptions import Interrupts, interrupt, numbers, resume
from plugin_sources import PREAMBLE

from deepobs import config
from deepobs import run as run_once
from deepobs.errors import ProtocolError, TrackerWarning, UnknownNameError
from deepobs.plugins import TrackerSpec, registry
from deepobs.plugins.catalog import Catalog, Offer
from deepobs.runs import run, specify
from deepobs.runs.trackers import Tracker, open_trackers
from deepobs.runs.trackers import tracker as module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification
    from deepobs.runs.trackers import TrackedRun

RECORDS: dict[str, dict[str, Any]] = {}


class Memory(Tracker):
    """Keeps the records of runs in this process."""

    def __init__(self, place: str | None) -> None:
        self.fails_in = place

    def begin(self, run: TrackedRun) -> Mapping[str, int]:
        self._fail("begin")
        if not run.is_resumed or run.run_id not in RECORDS:
            RECORDS[run.run_id] = {"run": run, "rows": []}
        self.record = RECORDS[run.run_id]
        return {name: step for step, name, _ in self.record["rows"]}

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._fail("log")
        self.record["rows"] += [(step, name, value) for name, value in metrics.items()]

    def end(self, status: str, reason: str, record: RunRecord | None) -> None:
        self._fail("end")
        self.record |= {"status": status, "reason": reason, "result": record}

    def _fail(self, event: str) -> None:
        if event == self.fails_in:
            raise ConnectionError("the server is gone")


def nothing(place: str | None) -> None:
    del place


@pytest.fixture(autouse=True)
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Offer the tracker as a plugin does, and forget what was warned of before."""
    catalog = Catalog(TrackerSpec, lambda _: "")
    for offer in registry().trackers.offers():
        catalog.add(offer)
    for name, target in (("memory", "Memory"), ("nothing", "nothing")):
        spec = TrackerSpec(name=name, target=f"test_trackers_here:{target}", summary="For tests")
        catalog.add(Offer(spec, "acme", "1.0"))
    monkeypatch.setattr(registry(), "trackers", catalog)
    monkeypatch.setitem(sys.modules, "test_trackers_here", sys.modules[__name__])
    monkeypatch.setattr(module, "_warned", set())
    RECORDS.clear()
    yield
    RECORDS.clear()


def small(**options: Any) -> RunSpecification:
    """Training with 125 steps an epoch."""
    hyperparameters = {"lr": options.pop("lr", 0.001)}
    options = {"num_epochs": 2, "batch_size": 8} | options
    return specify("quadratic_deep", "SGD", hyperparameters, **options)


def series(specification: RunSpecification) -> dict[str, dict[int, float]]:
    """What was logged, by name and step, each of which is there once."""
    rows = RECORDS[specification.run_id]["rows"]
    assert len({row[:2] for row in rows}) == len(rows)
    names = dict.fromkeys(name for _, name, _ in rows)
    return {one: {step: value for step, name, value in rows if name == one} for one in names}


def test_all_metrics_are_logged_by_step() -> None:
    specification = small(log_gradient_norm=True, train_log_interval=1)
    record = run(specification, observers=open_trackers("memory")).record
    logged = series(specification)
    assert logged["epoch"] == {0: 0, 125: 1, 250: 2}
    assert logged["test_loss"] == dict(zip((0, 125, 250), record.test_losses, strict=True))
    assert logged["train_loss"] == dict(zip((0, 125, 250), record.train_losses, strict=True))
    steps = (100, 125, 225, 250)
    losses, norms = record.minibatch_train_losses, record.gradient_norms
    assert norms is not None
    assert logged["minibatch_train_loss"] == {step: losses[step - 1] for step in steps}
    assert logged["gradient_norm"] == pytest.approx({step: norms[step - 1] for step in steps})
    assert logged["learning_rate"] == dict.fromkeys((0, 100, 125, 225), 0.001)
    assert RECORDS[specification.run_id]["status"] == "completed"
    assert RECORDS[specification.run_id]["result"] == record


def test_the_learning_rate_follows_the_schedule() -> None:
    specification = small(lr_sched_epochs=[1], lr_sched_factors=[0.1])
    run(specification, observers=open_trackers("memory"))
    assert series(specification)["learning_rate"] == pytest.approx(
        {0: 1e-3, 100: 1e-3, 125: 1e-4, 225: 1e-4}
    )


def test_a_run_is_described_by_hyperparameters_versions_and_its_command() -> None:
    specification = small(num_epochs=0, random_seed=7)
    run(specification, observers=open_trackers("memory"))
    described = RECORDS[specification.run_id]["run"]
    assert described.name == "SGD on quadratic_deep, lr = 0.001, seed 7"
    assert described.config["lr"] == 0.001
    assert described.config["random_seed"] == 7
    assert {"version.torch", "version.deepobs-core"} <= described.facts.keys()
    assert "--seed 7" in described.facts["command"]


def test_synthetic_data_are_named_and_real_ones_are_not() -> None:
    with config.temporary(fake_data=0.25):
        on_fake = small()
    assert module.hyperparameters_of(on_fake)["fake_data"] == 0.25
    assert "fake_data" not in module.hyperparameters_of(small())


def test_seeds_are_one_group_and_settings_are_not() -> None:
    settings = [{"random_seed": 1}, {"random_seed": 2}, {"random_seed": 1, "lr": 0.1}]
    groups = [module.TrackedRun.of(small(**each)).group for each in settings]
    assert groups[0] == groups[1] != groups[2]


def test_a_run_that_diverges_keeps_its_infinite_values() -> None:
    specification = small(lr=1e30)
    run(specification, observers=open_trackers("memory"))
    assert RECORDS[specification.run_id]["status"] == "diverged"
    assert RECORDS[specification.run_id]["reason"].startswith("in epoch 1, step ")
    (loss,) = series(specification)["minibatch_train_loss"].values()
    assert not math.isfinite(loss)


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("bad luck"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_a_run_without_a_result_is_closed_with_its_reason(
    error: BaseException, status: str
) -> None:
    class Ends(Interrupts):
        def steps_taken(self, steps: int, metrics: Any) -> None:
            raise error

    specification = small()
    with pytest.raises(type(error)):
        run(specification, observers=[*open_trackers("memory"), Ends()])
    closed = RECORDS[specification.run_id]
    assert (closed["status"], closed["result"]) == (status, None)
    assert closed["reason"].startswith(type(error).__name__)


@pytest.mark.parametrize("at", [{"step": 225}, {"epoch": 1}])
def test_a_resumed_run_goes_on_in_its_record(tmp_path: Path, at: dict[str, int]) -> None:
    specification = small(num_epochs=3)
    run(specification, observers=open_trackers("memory"))
    undisturbed = series(specification)
    RECORDS.clear()
    observers = open_trackers("memory")
    run_and_end = _Chained(observers[0], Interrupts(**at))
    interrupt(specification, tmp_path, run_and_end)
    assert RECORDS[specification.run_id]["status"] == "failed"
    resume(specification, tmp_path, observers=observers)
    assert series(specification) == undisturbed
    assert RECORDS[specification.run_id]["status"] == "completed"


class _Chained(Interrupts):
    """Tracks what happens before it ends a run."""

    def __init__(self, tracker: Any, interrupts: Interrupts) -> None:
        super().__init__(step=interrupts.step, epoch=interrupts.epoch)
        self._tracker = tracker
        for event in ("run_started", "epoch_started", "evaluated_within_epoch", "run_failed"):
            setattr(self, event, getattr(tracker, event))

    def steps_taken(self, steps: int, metrics: Any) -> None:
        self._tracker.steps_taken(steps, metrics)
        super().steps_taken(steps, metrics)

    def epoch_ended(self, epoch: int, metrics: Any) -> None:
        self._tracker.epoch_ended(epoch, metrics)
        super().epoch_ended(epoch, metrics)


def test_a_run_that_begins_anew_replaces_its_record_and_one_that_is_done_is_left(
    tmp_path: Path,
) -> None:
    specification, observers = small(), open_trackers("memory")
    for overwrite in (False, True):
        run(specification, observers=observers, output_dir=tmp_path, overwrite=overwrite)
        assert list(series(specification)["test_loss"]) == [0, 125, 250]
    RECORDS.clear()
    assert not run(specification, observers=observers, output_dir=tmp_path).is_new
    assert not RECORDS


@pytest.mark.parametrize("event", ["begin", "log", "end"])
def test_a_tracker_that_fails_ends_no_run_and_warns_once(event: str) -> None:
    specification = small()
    observers = open_trackers(f"memory={event}")
    with pytest.warns(TrackerWarning) as told:
        records = [run(specification, observers=observers).record for _ in range(2)]
    assert [str(one.message) for one in told] == [
        "The tracker memory failed, and the run goes on without it: "
        "ConnectionError: the server is gone."
    ]
    assert numbers(records[0]) == numbers(run(specification).record)


def test_a_run_measures_the_same_whether_it_is_tracked_or_not() -> None:
    specification = specify("two_d_branin", "SGD", {"lr": 0.001}, num_epochs=2)
    tracked = run(specification, observers=open_trackers("memory")).record
    assert numbers(tracked) == numbers(run(specification).record)


def test_one_call_takes_trackers_by_name() -> None:
    run_once("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=0, track="acme:memory")
    (record,) = RECORDS.values()
    assert record["status"] == "completed"


def test_a_runner_takes_trackers_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from deepobs.pytorch.runners import StandardRunner

    runner = StandardRunner(torch.optim.SGD, {"lr": {"type": float}})
    given: dict[str, Any] = {"num_epochs": 0, "no_logs": True}
    runner.run("quadratic_deep", lr=0.01, track=["memory"], **given)
    assert len(RECORDS) == 1
    RECORDS.clear()
    arguments = ["script.py", "quadratic_deep", "--lr", "0.01", "--track", "memory"]
    monkeypatch.setattr("sys.argv", arguments)
    runner.run(**given)
    assert len(RECORDS) == 1


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("mflow", UnknownNameError, "Did you mean 'mlflow'"),
        ("tensorboard:logs", UnknownNameError, "Where to write is given as tensorboard=logs."),
        ("nothing", ProtocolError, "which is no deepobs.runs.RunObserver"),
    ],
)
def test_what_is_no_tracker_is_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        open_trackers([text])
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "trackio", "wandb"])
def test_a_tracker_without_its_library_is_refused_before_a_run(
    command_line: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    library = {"tensorboard": "torch.utils.tensorboard"}.get(name, name)
    monkeypatch.setitem(sys.modules, library, None)
    code, out, err = command_line("run", "quadratic_deep", "SGD", "--track", name)
    assert (code, out) == (2, "")
    assert f"pip install 'deepobs-core[{name}]'" in err.replace("\n", " ")
    assert not list(tmp_path.iterdir())


HOOKS = """
told = []

@hookimpl
def deepobs_run_started(steps_per_epoch, resumed_at):
    told.append(("started", steps_per_epoch, resumed_at))

@hookimpl
def deepobs_steps_taken(specification, steps, metrics):
    told.append((steps, *metrics))

@hookimpl
def deepobs_epoch_ended(epoch, steps, lr):
    told.append((epoch, steps, lr))

@hookimpl
def deepobs_run_failed(specification, error):
    told.append(type(error).__name__)
"""


def test_plugins_observe_steps_failures_and_resumption(
    install: Any, fresh_registry: Callable[[], Any], tmp_path: Path
) -> None:
    install("acme-obs", PREAMBLE + HOOKS)
    fresh_registry()
    specification = small()
    interrupt(specification, tmp_path, Interrupts(step=225))
    told = sys.modules["acme_obs"].told
    step = ("minibatch_train_loss", "learning_rate")
    begun = [("started", 125, 0), (0, 0, None), (100, *step), (125, *step), (1, 125, 0.001)]
    assert told == [*begun, "InterruptionError"]
    told.clear()
    resume(specification, tmp_path)
    assert told == [
        *[("started", 125, 225), (0, 0, None), (1, 125, 0.001)],
        *[(250, *step), (2, 250, 0.001)],
    ]
