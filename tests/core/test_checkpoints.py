"""Runs that are interrupted and go on: what they measure, and what becomes of their checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deepobs.runs import RunObserver, RunRecord, run, specify
from deepobs.runs.checkpoints import CheckpointPlan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs.runs import RunSpecification

AT_EVERY_REPORT = CheckpointPlan(every_seconds=0)
AFTER_EVERY_EPOCH = CheckpointPlan(every_epochs=1)
MEASURED_IN_SECONDS = {"train_seconds", "eval_seconds", "started_at"}


class InterruptionError(Exception):
    """Ends a run from outside."""


class Interrupts(RunObserver):
    """Ends a run at the first report after so many steps, or after an epoch."""

    def __init__(self, *, step: int | None = None, epoch: int | None = None) -> None:
        self.step = step
        self.epoch = epoch

    def steps_taken(self, steps: int, loss: float) -> None:
        if self.step is not None and steps >= self.step:
            raise InterruptionError

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == self.epoch:
            raise InterruptionError


def numbers(record: RunRecord) -> dict[str, Any]:
    return record.model_dump(exclude={*MEASURED_IN_SECONDS, "resumed_at_steps"})


def interrupt(
    specification: RunSpecification,
    output_dir: Path,
    observer: RunObserver,
    plan: CheckpointPlan = AT_EVERY_REPORT,
    **arguments: Any,
) -> None:
    with pytest.raises(InterruptionError):
        run(
            specification,
            output_dir=output_dir,
            observers=[observer],
            checkpoints=plan,
            **arguments,
        )


def resume(specification: RunSpecification, output_dir: Path, **arguments: Any) -> RunRecord:
    plan = CheckpointPlan(every_seconds=0, resume=True)
    return run(specification, output_dir=output_dir, checkpoints=plan, **arguments)


def checkpoints_in(directory: Path) -> list[Path]:
    return list(directory.rglob(".*.checkpoint"))


def long_epochs(optimizer: Any = "SGD", **arguments: Any) -> RunSpecification:
    """Three epochs of 250 steps, with reports after 100, 200 and 250."""
    values = {"hyperparameters": {"lr": 0.01}, "num_epochs": 3, "batch_size": 4} | arguments
    return specify("quadratic_deep", optimizer, **values)


@pytest.mark.parametrize("step", [100, 250, 251, 450, 600])
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
    specification = long_epochs(optimizer, **arguments)
    undisturbed = run(specification)
    interrupt(specification, tmp_path, Interrupts(step=step))
    assert len(checkpoints_in(tmp_path)) == 1
    resumed = resume(specification, tmp_path)
    assert numbers(resumed) == numbers(undisturbed)
    assert resumed.resumed_at_steps is not None
    assert checkpoints_in(tmp_path) == []
