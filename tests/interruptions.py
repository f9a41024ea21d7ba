"""Interrupting runs and resuming them, for the tests of all packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deepobs.runs import RunObserver, run
from deepobs.runs.checkpoints import CheckpointPlan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

AT_EVERY_REPORT = CheckpointPlan(every_seconds=0)
_TIMES = {"train_seconds", "eval_seconds", "started_at"}


class InterruptionError(Exception):
    """Ends a run from outside."""


class Interrupts(RunObserver):
    """Ends a run at the first report after so many steps, or after an epoch."""

    def __init__(self, *, step: int | None = None, epoch: int | None = None) -> None:
        self.step = step
        self.epoch = epoch

    def steps_taken(self, steps: int, metrics: Any) -> None:
        """End it, if it is time."""
        del metrics
        if self.step is not None and steps >= self.step:
            raise InterruptionError

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """End it, if it is time."""
        del metrics
        if epoch == self.epoch:
            raise InterruptionError


def numbers(record: RunRecord) -> dict[str, Any]:
    """The part of a record that an interruption must not change."""
    return record.model_dump(exclude={*_TIMES, "resumed_at_steps"})


def interrupt(
    specification: RunSpecification,
    output_dir: Path,
    observer: RunObserver,
    plan: CheckpointPlan = AT_EVERY_REPORT,
    **arguments: Any,
) -> None:
    """Start a run that an observer interrupts."""
    with pytest.raises(InterruptionError):
        run(
            specification,
            output_dir=output_dir,
            observers=[observer],
            checkpoints=plan,
            **arguments,
        )


def resume(specification: RunSpecification, output_dir: Path, **arguments: Any) -> RunRecord:
    """Resume a run."""
    plan = CheckpointPlan(every_seconds=0, resume=True)
    return run(specification, output_dir=output_dir, checkpoints=plan, **arguments).record


def assert_resumes_exactly(specification: RunSpecification, output_dir: Path, step: int) -> None:
    """Interrupt a run after a step, resume it, and compare it with an undisturbed one."""
    undisturbed = run(specification).record
    interrupt(specification, output_dir, Interrupts(step=step))
    resumed = resume(specification, output_dir)
    assert resumed.resumed_at_steps is not None
    assert numbers(resumed) == numbers(undisturbed)
