"""Runs that are interrupted and go on: what they measure, and what becomes of their checkpoints."""

from __future__ import annotations

import errno
import os
import random
import signal
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from interruptions import (
    AT_EVERY_REPORT,
    InterruptionError,
    Interrupts,
    assert_resumes_exactly,
    interrupt,
    numbers,
    resume,
)

from deepobs import config
from deepobs.errors import ArgumentError, CheckpointWarning
from deepobs.files import open_atomic
from deepobs.runs import RunObserver, checkpoints, run, specify, training
from deepobs.runs.checkpoints import CheckpointPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

AFTER_EVERY_EPOCH = CheckpointPlan(every_epochs=1)


@pytest.fixture(autouse=True)
def frequent_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs can be interrupted every four steps."""
    monkeypatch.setattr(training, "STEPS_BETWEEN_REPORTS", 4)


def checkpoints_in(directory: Path) -> list[Path]:
    return list(directory.rglob(".*.checkpoint"))


def short_run(optimizer: Any = "SGD", **arguments: Any) -> RunSpecification:
    """Three epochs of ten steps, with reports after four, eight and ten."""
    values = {"hyperparameters": {"lr": 0.01}, "num_epochs": 3, "batch_size": 100} | arguments
    return specify("quadratic_deep", optimizer, **values)


@pytest.mark.parametrize("step", [4, 10, 11, 18, 24])
@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        pytest.param("Momentum", {"lr_sched_epochs": [1], "lr_sched_factors": [0.1]}, id="steps"),
        pytest.param(
            "Adam",
            {
                "lr_scheduler": {
                    "name": "OneCycleLR",
                    "every": "step",
                    "arguments": {"max_lr": 0.1, "total_steps": "num_steps"},
                }
            },
            id="one_cycle",
        ),
        pytest.param(
            "SGD", {"reshuffle": False, "lr_scheduler": "ReduceLROnPlateau"}, id="same_order"
        ),
        pytest.param("LBFGS", {"hyperparameters": {"lr": 0.1, "max_iter": 2}}, id="lbfgs"),
    ],
)
def test_an_interrupted_and_resumed_run_gives_the_same_bits(
    optimizer: str, arguments: dict[str, Any], step: int, tmp_path: Path
) -> None:
    specification = short_run(optimizer, **arguments)
    assert_resumes_exactly(specification, tmp_path, step)
    assert checkpoints_in(tmp_path) == []  # in place of it, there is the result


def test_a_run_can_be_interrupted_and_resumed_again_and_again(tmp_path: Path) -> None:
    specification = short_run("Adam")
    interrupt(specification, tmp_path, Interrupts(step=4))
    for step in (8, 18):
        with pytest.raises(InterruptionError):
            resume(specification, tmp_path, observers=[Interrupts(step=step)])
    resumed = resume(specification, tmp_path)
    assert resumed.resumed_at_steps == [4, 8, 18]
    assert numbers(resumed) == numbers(run(specification).record)


def test_a_run_goes_on_from_the_end_of_an_epoch(tmp_path: Path) -> None:
    specification = short_run(
        "Adam", lr_scheduler={"name": "StepLR", "arguments": {"step_size": 1}}, reshuffle=False
    )
    interrupt(specification, tmp_path, Interrupts(epoch=2), AFTER_EVERY_EPOCH)
    resumed = resume(specification, tmp_path)
    assert resumed.resumed_at_steps == [20]
    assert numbers(resumed) == numbers(run(specification).record)


def test_a_checkpoint_is_written_every_so_many_epochs(tmp_path: Path) -> None:
    specification = short_run(num_epochs=5)
    interrupt(specification, tmp_path, Interrupts(epoch=5), CheckpointPlan(every_epochs=2))
    assert resume(specification, tmp_path).resumed_at_steps == [4 * 10]


def test_a_checkpoint_is_not_written_before_its_time(tmp_path: Path) -> None:
    specification = short_run()
    interrupt(specification, tmp_path, Interrupts(epoch=2), CheckpointPlan(every_seconds=3600))
    assert checkpoints_in(tmp_path) == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_states_in_another_precision_than_the_weights_come_back_exactly(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    class KeepsSinglePrecision(torch.optim.SGD):
        """Averages in float32, and counts in an attribute."""

        count = 0

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            self.count += 1
            for group in self.param_groups:
                for weight in group["params"]:
                    average = self.state[weight].setdefault("average", weight.float())
                    average.lerp_(weight.float() - group["lr"] * weight.grad.float(), 0.1)
                    weight.copy_(average * (1 + 1e-3 / self.count))

    config.set_dtype(dtype)
    specification = short_run(KeepsSinglePrecision)
    arguments = {"optimizer_class": KeepsSinglePrecision}
    undisturbed = run(specification, **arguments).record
    interrupt(specification, tmp_path, Interrupts(step=4), **arguments)
    assert numbers(resume(specification, tmp_path, **arguments)) == numbers(undisturbed)


def test_several_optimizers_of_one_model_go_on_together(tmp_path: Path) -> None:
    groups = {"vector": {"optimizer": "Adam", "lr": 0.1}}
    specification = short_run(parameter_groups=groups)
    undisturbed = run(specification).record
    interrupt(specification, tmp_path, Interrupts(step=14))
    assert numbers(resume(specification, tmp_path)) == numbers(undisturbed)


@pytest.mark.parametrize("plan", [AT_EVERY_REPORT, AFTER_EVERY_EPOCH])
def test_an_optimizer_with_modes_goes_on_in_the_one_it_was_in(
    plan: CheckpointPlan, tmp_path: Path
) -> None:
    pytest.importorskip("schedulefree")
    specification = short_run("schedulefree:AdamWScheduleFree")
    undisturbed = run(specification).record
    interrupt(specification, tmp_path, Interrupts(step=14), plan)
    assert numbers(resume(specification, tmp_path)) == numbers(undisturbed)


def test_what_is_random_goes_on(tmp_path: Path) -> None:
    class DrawsEverywhere(torch.optim.SGD):
        """Adds noise from all generators that a process has."""

        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            super().step(closure)
            for weight in self.param_groups[0]["params"]:
                noise = random.gauss(0, 1) + np.random.standard_normal() + torch.randn(())
                weight.data += 0.01 * noise

    specification = short_run(DrawsEverywhere)
    arguments = {"optimizer_class": DrawsEverywhere}
    undisturbed = run(specification, **arguments).record
    interrupt(specification, tmp_path, Interrupts(step=4), **arguments)
    assert numbers(resume(specification, tmp_path, **arguments)) == numbers(undisturbed)


def test_a_run_that_diverges_after_it_was_resumed_is_recorded_as_if_it_had_not_been(
    tmp_path: Path,
) -> None:
    specification = specify("quadratic_deep", "SGD", {"lr": 1.0}, num_epochs=3, batch_size=100)
    undisturbed = run(specification).record
    assert undisturbed.status == "diverged"
    interrupt(specification, tmp_path, Interrupts(step=4))
    assert numbers(resume(specification, tmp_path)) == numbers(undisturbed)


def test_resuming_without_a_checkpoint_begins(tmp_path: Path) -> None:
    specification = short_run()
    record = resume(specification, tmp_path)
    assert numbers(record) == numbers(run(specification).record)
    assert "resumed_at_steps" not in record.to_json()


def test_observers_are_told_the_epochs_before_the_interruption_too(tmp_path: Path) -> None:
    class Listens(RunObserver):
        def __init__(self) -> None:
            self.told: list[tuple[int, dict[str, float]]] = []

        def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
            self.told.append((epoch, dict(metrics)))

    before, after = Listens(), Listens()
    specification = short_run()
    run(specification, observers=[before])
    interrupt(specification, tmp_path, Interrupts(step=24))
    resume(specification, tmp_path, observers=[after])
    assert after.told == before.told


def test_without_resuming_the_run_begins_anew_and_says_so(tmp_path: Path) -> None:
    specification = short_run()
    interrupt(specification, tmp_path, Interrupts(step=4))
    with pytest.warns(CheckpointWarning, match="from the beginning. It was interrupted before"):
        record = run(specification, output_dir=tmp_path, checkpoints=AT_EVERY_REPORT).record
    assert record.resumed_at_steps is None


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _blank_in_the_middle(content: bytes) -> bytes:
    third = len(content) // 3
    return content[:third] + bytes(third) + content[2 * third :]


@pytest.mark.parametrize("damage", [_cut, _blank_in_the_middle, lambda _: b"", lambda _: b"no zip"])
def test_a_damaged_checkpoint_is_reported_and_the_run_begins_anew(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    specification = short_run()
    interrupt(specification, tmp_path, Interrupts(step=4))
    (path,) = checkpoints_in(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(CheckpointWarning, match="cannot be used"):
        record = resume(specification, tmp_path)
    assert record.resumed_at_steps is None
    assert numbers(record) == numbers(run(specification).record)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"version": 0}, "another version"),
        ({"run_id": "0" * 16}, "another run"),
        ({"state": {}}, "cannot be used"),
        ({"state": None}, "does not hold what a checkpoint holds"),
        ({"environment": None}, "does not hold what a checkpoint holds"),
    ],
)
def test_a_checkpoint_of_something_else_is_reported_and_the_run_begins_anew(
    changed: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    specification = short_run()
    interrupt(specification, tmp_path, Interrupts(step=4))
    (path,) = checkpoints_in(tmp_path)
    torch.save(torch.load(path, weights_only=True) | changed, path)
    with pytest.warns(CheckpointWarning, match=reason):
        record = resume(specification, tmp_path)
    assert numbers(record) == numbers(run(specification).record)


def test_a_checkpoint_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    specification = short_run()
    interrupt(specification, tmp_path, Interrupts(step=4))
    (path,) = checkpoints_in(tmp_path)
    torch.save(torch.load(path, weights_only=True) | {"state": Touches(tmp_path / "touched")}, path)
    with pytest.warns(CheckpointWarning, match="cannot be used"):
        resume(specification, tmp_path)
    assert not (tmp_path / "touched").exists()


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def test_weights_of_other_shapes_are_reported_and_the_run_begins_anew(tmp_path: Path) -> None:
    specification = short_run("Adam")
    interrupt(specification, tmp_path, Interrupts(step=4))
    (path,) = checkpoints_in(tmp_path)
    content = torch.load(path, weights_only=True)
    content["state"]["model"] = {"other": torch.zeros(3)}
    torch.save(content, path)
    with pytest.warns(CheckpointWarning, match="cannot be used"):
        record = resume(specification, tmp_path)
    assert numbers(record) == numbers(run(specification).record)


def test_another_number_of_threads_is_warned_about(tmp_path: Path) -> None:
    specification = short_run()
    interrupt(specification, tmp_path, Interrupts(step=4))
    (path,) = checkpoints_in(tmp_path)
    content = torch.load(path, weights_only=True)
    content["environment"]["threads"] = 64
    torch.save(content, path)
    with pytest.warns(CheckpointWarning, match="instead of 64.*may differ in the last bits"):
        resume(specification, tmp_path)


def test_what_no_checkpoint_can_hold_is_reported_while_the_run_goes_on(tmp_path: Path) -> None:
    class KeepsAnything(torch.optim.SGD):
        """Keeps an object of its own among the states."""

        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            super().step(closure)
            self.state["path"] = tmp_path  # type: ignore[index]

    specification = short_run(KeepsAnything)
    with pytest.warns(CheckpointWarning, match="cannot be resumed.* a pathlib.PosixPath") as warned:
        record = run(
            specification,
            output_dir=tmp_path,
            checkpoints=AT_EVERY_REPORT,
            optimizer_class=KeepsAnything,
        ).record
    assert len(warned) == 1
    assert record.status == "completed"


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    class TakesTheDirectoryAway(RunObserver):
        def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
            (tmp_path / "quadratic_deep").write_text("in the way")

        def run_ended(self, record: RunRecord) -> None:
            (tmp_path / "quadratic_deep").unlink()

    with pytest.warns(CheckpointWarning, match="cannot be written.*continues"):
        record = run(
            short_run(num_epochs=1),
            output_dir=tmp_path,
            checkpoints=AFTER_EVERY_EPOCH,
            observers=[TakesTheDirectoryAway()],
        ).record
    assert record.status == "completed"


class Faulty:
    """A file in which something happens at the second write of each checkpoint."""

    def __init__(self, stream: IO[bytes], fault: Callable[[], None]) -> None:
        self._stream = stream
        self._fault = fault
        self._writes = 0

    def write(self, data: bytes) -> int:
        self._writes += 1
        if self._writes == 2:
            self._fault()
        return self._stream.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Makes something happen in the middle of writing a checkpoint."""

    def inject(fault: Callable[[], None]) -> None:
        @contextmanager
        def open_faulty(path: Path) -> Iterator[Faulty]:
            with open_atomic(path) as stream:
                yield Faulty(stream, fault)

        monkeypatch.setattr(checkpoints, "open_atomic", open_faulty)

    return inject


def test_an_interrupt_while_a_checkpoint_is_written_ends_the_run_after_it(
    tmp_path: Path, fault: Callable[[Callable[[], None]], None]
) -> None:
    signals = [signal.SIGINT]  # one, not again when the run is resumed
    fault(lambda: signal.raise_signal(signals.pop()) if signals else None)
    specification = short_run()
    with pytest.raises(KeyboardInterrupt):
        run(specification, output_dir=tmp_path, checkpoints=AFTER_EVERY_EPOCH)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert resume(specification, tmp_path).resumed_at_steps == [10]


def test_a_full_disk_is_named_and_the_next_checkpoint_is_tried(
    tmp_path: Path, fault: Callable[[Callable[[], None]], None]
) -> None:
    def fill_the_disk() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fault(fill_the_disk)
    with pytest.warns(CheckpointWarning, match="cannot be written: .*No space left") as warned:
        run(short_run(num_epochs=2), output_dir=tmp_path, checkpoints=AFTER_EVERY_EPOCH)
    assert len(warned) == 2


def test_without_a_directory_checkpoints_are_refused() -> None:
    with pytest.raises(ArgumentError, match="give an output_dir"):
        run(short_run(), checkpoints=AT_EVERY_REPORT)


@pytest.mark.parametrize("arguments", [{"every_seconds": -1}, {"every_epochs": 0}])
def test_a_plan_with_numbers_out_of_range_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="or more, got"):
        CheckpointPlan(**arguments)


def test_time_for_checkpoints_is_no_training_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepobs.runs import run_state

    now = iter(range(100))
    monkeypatch.setattr(run_state.time, "perf_counter", lambda: float(next(now)))
    watch = run_state.Pass(iter(()), {}, zero=run_state.time.perf_counter() - 5.0)  # made at 0
    with watch.paused():  # from 1 to 2
        pass
    assert run_state.time.perf_counter() - watch.zero == 5.0 + 3 - 1


def test_a_damaged_checkpoint_has_no_place_to_continue_from(tmp_path):
    specification = specify("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=3)
    assert checkpoints.place_in_checkpoint(tmp_path, specification) == ""
    path = checkpoints.checkpoint_path(tmp_path, specification)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"torn")
    assert checkpoints.place_in_checkpoint(tmp_path, specification) == ""
