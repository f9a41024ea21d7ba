"""Runs that are tracked, interrupted and resumed, for the tests of each tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interruptions import InterruptionError, Interrupts, resume

from deepobs.runs import run, specify
from deepobs.runs.checkpoints import CheckpointPlan
from deepobs.runs.trackers import open_trackers

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

REPORTS = (100, 125, 225, 250, 350, 375)


def small(**options: Any) -> RunSpecification:
    """Three epochs of 125 steps."""
    hyperparameters = {"lr": options.pop("lr", 0.001)}
    given = {"num_epochs": 3, "batch_size": 8, "log_gradient_norm": True, "train_log_interval": 1}
    return specify("quadratic_deep", "SGD", hyperparameters, **(given | options))


def interrupt_and_resume(specification: RunSpecification, output_dir: Path, name: str) -> RunRecord:
    """Track a run whose last checkpoint is after its first epoch, and that ends 225 steps on."""
    observers = [*open_trackers(name), Interrupts(step=225)]
    plan = CheckpointPlan(every_epochs=1)
    try:
        run(specification, output_dir=output_dir, observers=observers, checkpoints=plan)
    except InterruptionError:
        return resume(specification, output_dir, observers=open_trackers(name))
    raise AssertionError("It was not interrupted.")


def expected(record: RunRecord) -> dict[str, dict[int, float]]:
    """What is logged of a run, by metric and step."""
    norms = record.gradient_norms
    assert norms is not None
    at_epochs = range(0, 376, 125)
    return {
        "epoch": {125 * epoch: float(epoch) for epoch in range(4)},
        "train_loss": dict(zip(at_epochs, record.train_losses, strict=True)),
        "test_loss": dict(zip(at_epochs, record.test_losses, strict=True)),
        "minibatch_train_loss": {at: record.minibatch_train_losses[at - 1] for at in REPORTS},
        "gradient_norm": {at: norms[at - 1] for at in REPORTS},
        "learning_rate": dict.fromkeys((0, 100, 125, 225, 250, 350), 0.001),
    }
