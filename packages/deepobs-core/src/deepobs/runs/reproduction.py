"""The command that reproduces a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs.runs.optimizers import target_of_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.runs.specification import RunSpecification

DEFAULT_LOG_INTERVAL = 10


def command_words(specification: RunSpecification) -> list[str]:
    """The words of the command that reproduces a run.

    Args:
        specification: The run.
    """
    optimizer = specification.optimizer
    if target_of_name(optimizer) != specification.optimizer_target:
        optimizer = specification.optimizer_target
    return [
        *("deepobs", "run", specification.testproblem, optimizer),
        *_of_the_optimizer(specification),
        *("--epochs", str(specification.num_epochs)),
        *("--batch-size", str(specification.batch_size)),
        *("--seed", str(specification.random_seed)),
        *_of_the_schedule(specification),
        *_of_the_measurement(specification),
    ]


def _of_the_optimizer(specification: RunSpecification) -> Iterator[str]:
    for name, value in specification.hyperparameters.items():
        yield from ("--lr", repr(value)) if name == "lr" else ("-o", _assigned(name, value))
    for word in specification.optimizer_needs:
        yield from ("--needs", word)
    for role, settings in specification.parameter_groups.items():
        named = [f"{role}:{_assigned(*setting)}" for setting in settings.items()]
        for group in named or [role]:
            yield from ("--group", group)


def _of_the_schedule(specification: RunSpecification) -> Iterator[str]:
    epochs, factors = specification.lr_sched_epochs, specification.lr_sched_factors
    for epoch, factor in zip(epochs or (), factors or (), strict=True):
        yield from ("--lr-schedule", f"{epoch}:{factor}")
    scheduler = specification.lr_scheduler
    if scheduler is not None:
        yield from ("--lr-scheduler", scheduler.name)
        for name, value in scheduler.arguments.items():
            yield from ("--lr-scheduler-option", _assigned(name, value))
        if scheduler.every != "epoch":
            yield from ("--lr-scheduler-interval", scheduler.every)


def _of_the_measurement(specification: RunSpecification) -> Iterator[str]:
    if specification.weight_decay is not None:
        yield from ("--weight-decay", repr(specification.weight_decay))
    if specification.validation_size:
        yield from ("--validation-size", str(specification.validation_size))
    if specification.train_log_interval != DEFAULT_LOG_INTERVAL:
        yield from ("--log-interval", str(specification.train_log_interval))
    if specification.full_evaluation:
        yield "--full-evaluation"
    if specification.bare_losses:
        yield "--exclude-regularizer"
    if not specification.reshuffle:
        yield "--no-reshuffle"
    if specification.dtype != "float32":
        yield from ("--dtype", specification.dtype)
    if specification.fake_data_fraction:
        yield from ("--fake-data", str(specification.fake_data_fraction))


def _assigned(name: str, value: Any) -> str:
    return f"{name}={value}"
