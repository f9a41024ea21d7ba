"""A run in a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepobs.records import RunRecord, RunSpecification


def summary_of(record: RunRecord) -> str:
    """Say what was run, where it ended and how long it took.

    Args:
        record: The run.
    """
    fake = ", on fake data" if record.fake_data else ""
    return (
        f"{record.optimizer_name} on {record.testproblem}, seed {record.random_seed}{fake}: "
        f"{_outcome(record)} ({sum(record.train_seconds):.1f} s training, "
        f"{sum(record.eval_seconds):.1f} s evaluation)"
    )


def schedule_of(specification: RunSpecification) -> str:
    """Name what changes the learning rate, such as `StepLR(step_size=10)`.

    Args:
        specification: The run.

    Returns:
        Empty text where the learning rate stays as it is.
    """
    scheduler = specification.lr_scheduler
    if scheduler is not None:
        arguments = ", ".join(f"{name}={value}" for name, value in scheduler.arguments.items())
        return f"{scheduler.name}({arguments}){' every step' if scheduler.every == 'step' else ''}"
    epochs, factors = specification.lr_sched_epochs or (), specification.lr_sched_factors or ()
    changes = (
        f"{factor:g} from epoch {epoch}" for epoch, factor in zip(epochs, factors, strict=True)
    )
    return ", ".join(f"lr x {change}" for change in changes)


def _outcome(record: RunRecord) -> str:
    if record.status == "diverged":
        return f"diverged in epoch {record.diverged_at_epoch}"
    final = {
        "test accuracy": record.test_accuracies and record.test_accuracies[-1],
        "test loss": record.test_losses[-1],
        "train loss": record.train_losses[-1],
    }
    measured = (f"{name} {value:.6g}" for name, value in final.items() if value is not None)
    plural = "s" if record.num_epochs != 1 else ""
    return f"after {record.num_epochs} epoch{plural} {', '.join(measured)}"
