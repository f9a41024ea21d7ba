"""Describing a run: checking every value, and the command that reproduces it."""

from __future__ import annotations

import itertools
import shlex
from typing import TYPE_CHECKING, Any

from deepobs import checks, config
from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.records import DEFAULT_LOG_INTERVAL, DEFAULT_SEED, LrScheduler, RunSpecification
from deepobs.runs.lr_schedulers import checked_scheduler
from deepobs.runs.optimizer_checks import resolve_optimizer
from deepobs.runs.optimizers import target_of_name
from deepobs.runs.sizes import check_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import torch

_LARGEST_SEED = 2**32 - 1  # NumPy takes no larger one


def specify(
    testproblem: str,
    optimizer: str | type[torch.optim.Optimizer],
    hyperparameters: Mapping[str, object] | None = None,
    *,
    needs: Iterable[str] | None = None,
    parameter_groups: Mapping[str, Mapping[str, object]] | None = None,
    batch_size: int | None = None,
    num_epochs: int | None = None,
    random_seed: int = DEFAULT_SEED,
    weight_decay: float | None = None,
    lr_sched_epochs: Sequence[int] | None = None,
    lr_sched_factors: Sequence[float] | None = None,
    lr_scheduler: str | Mapping[str, object] | LrScheduler | None = None,
    validation_size: int = 0,
    full_evaluation: bool = False,
    bare_losses: bool = False,
    reshuffle: bool = True,
    device: str | torch.device | None = None,
    train_log_interval: int = DEFAULT_LOG_INTERVAL,
) -> RunSpecification:
    """Describe a run: check every value and fill in the defaults, before any work starts.

    Args:
        testproblem: Name of a test problem.
        optimizer: Name of an optimizer, `package.module:Class` or a class.
        hyperparameters: Arguments of the optimizer by name.
        needs: What the optimizer needs of the training loop, words of `NEEDS`; `None` to find out.
        parameter_groups: Further hyperparameters for the parameters of a role: `embedding`, `head`,
            `hidden`, `vector` or `others`. One called `optimizer` names another optimizer for them.
        batch_size: Examples a step; `None` for the problem's default.
        num_epochs: Passes over the training set; `None` for the problem's default.
        random_seed: Seed of everything random.
        weight_decay: Factor of the problem's regulariser; `None` for its default.
        lr_sched_epochs: Epochs after which the learning rate changes, increasing.
        lr_sched_factors: What the initial learning rate is multiplied by from then on.
        lr_scheduler: A class of `torch.optim.lr_scheduler`: its name, or a mapping of `name`,
            `arguments` and `every` ("epoch" or "step").
        validation_size: Number of training examples held out for validation.
        full_evaluation: Include the last, smaller batch of a split in evaluation.
        bare_losses: Leave the regulariser out of reported losses.
        reshuffle: Draw a new order of the training data for every epoch. With `False`, all epochs
            have that of the first, as in the runs that were published with the paper.
        device: Where to run; `None` for `config.get_default_device()`.
        train_log_interval: Steps from one recorded minibatch loss to the next.

    Raises:
        DeepOBSError: A name is unknown, or a value is out of range.
    """
    problems = registry().problems
    problem = problems.spec(testproblem)
    resolved = resolve_optimizer(optimizer, hyperparameters, groups=parameter_groups, needs=needs)
    schedule = _checked_schedule(lr_sched_epochs, lr_sched_factors, resolved.hyperparameters)
    if schedule and lr_scheduler is not None:
        raise ArgumentError(
            "A learning rate follows a step schedule or a scheduler, not both; got "
            f"lr_sched_epochs={list(schedule[0])} and lr_scheduler={lr_scheduler!r}. Leave one out."
        )
    scheduler = None if lr_scheduler is None else checked_scheduler(lr_scheduler)
    batch_size = checks.integer(
        "batch_size", problem.batch_size if batch_size is None else batch_size, least=1
    )
    validation_size = checks.integer("validation_size", validation_size, least=0)
    check_sizes(problem, batch_size, validation_size)
    return RunSpecification(
        testproblem=problems.usable_name(testproblem),
        optimizer=resolved.choice.name,
        optimizer_target=resolved.choice.target,
        optimizer_source=resolved.choice.source,
        hyperparameters=resolved.hyperparameters,
        optimizer_needs=resolved.needs,
        parameter_groups=resolved.groups,
        batch_size=batch_size,
        num_epochs=checks.integer(
            "num_epochs", problem.epochs if num_epochs is None else num_epochs, least=0
        ),
        random_seed=checks.integer("random_seed", random_seed, least=0, most=_LARGEST_SEED),
        weight_decay=(
            None if weight_decay is None else checks.non_negative("weight_decay", weight_decay)
        ),
        lr_sched_epochs=schedule and schedule[0],
        lr_sched_factors=schedule and schedule[1],
        lr_scheduler=scheduler,
        validation_size=validation_size,
        full_evaluation=bool(full_evaluation),
        bare_losses=bool(bare_losses),
        reshuffle=bool(reshuffle),
        fake_data_fraction=config.get_fake_data_fraction(),
        dtype=str(config.get_dtype()).removeprefix("torch."),
        device=str(config.resolve_device(device)),
        train_log_interval=checks.integer("train_log_interval", train_log_interval, least=1),
    )


def _checked_schedule(
    epochs: Sequence[int] | None,
    factors: Sequence[float] | None,
    hyperparameters: Mapping[str, object],
) -> tuple[tuple[int, ...], tuple[float, ...]] | None:
    if epochs is None and factors is None:
        return None
    if epochs is None or factors is None or len(epochs) != len(factors):
        raise ArgumentError(
            "A learning-rate schedule needs as many factors as epochs, got "
            f"lr_sched_epochs={epochs!r} and lr_sched_factors={factors!r}."
        )
    if "lr" not in hyperparameters:
        raise ArgumentError(
            "A learning-rate schedule needs an optimizer with a learning rate lr; this one has "
            f"{', '.join(hyperparameters) or 'no hyperparameters'}. Leave the schedule out."
        )
    checked = tuple(checks.integer("lr_sched_epochs", epoch, least=0) for epoch in epochs)
    if any(later <= earlier for earlier, later in itertools.pairwise(checked)):
        raise ArgumentError(f"lr_sched_epochs must increase, got {list(checked)}.")
    return checked, tuple(checks.non_negative("lr_sched_factors", factor) for factor in factors)


def reproduction_command(specification: RunSpecification) -> str:
    """The command that reproduces a run."""
    optimizer = specification.optimizer
    if target_of_name(optimizer) != specification.optimizer_target:
        optimizer = specification.optimizer_target
    words = [
        *("deepobs", "run", specification.testproblem, optimizer),
        *_of_the_optimizer(specification),
        *("--epochs", str(specification.num_epochs)),
        *("--batch-size", str(specification.batch_size)),
        *("--seed", str(specification.random_seed)),
        *_of_the_schedule(specification),
        *_of_the_measurement(specification),
    ]
    return shlex.join(words)


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
