"""What a run is, completely: the same specification gives the same numbers."""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from deepobs import checks, config
from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.runs.json_types import in_json_types
from deepobs.runs.lr_schedulers import LrScheduler, checked_scheduler
from deepobs.runs.needs import check_together, checked_needs, needs_of
from deepobs.runs.optimizer_arguments import checked_arguments
from deepobs.runs.optimizers import find_optimizer
from deepobs.runs.parameter_groups import checked_groups
from deepobs.runs.reproduction import DEFAULT_LOG_INTERVAL, command_words
from deepobs.runs.sizes import check_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch

DEFAULT_SEED = 42
_LARGEST_SEED = 2**32 - 1  # NumPy takes no larger one
_NOT_PART_OF_THE_IDENTITY = {"device", "train_log_interval"}


class RunSpecification(BaseModel):
    """One (problem, optimizer, hyperparameters, batch size, epochs, seed), and how to measure it.

    Made by `specify`, which checks all of it and fills in the defaults.

    Attributes:
        testproblem: Name of the test problem, `distribution:name` where that is needed.
        optimizer: Name of the optimizer in result files.
        optimizer_target: Its class, as `package.module:Class`.
        optimizer_source: A hash of its code where it is the user's own, else empty: after a change
            of the code it is another run.
        hyperparameters: Arguments of the optimizer by name.
        optimizer_needs: What the optimizer needs of the training loop, words of `NEEDS`, sorted.
        parameter_groups: Further hyperparameters, by the role of the parameters they are for.
        batch_size: Examples a step.
        num_epochs: Passes over the training set.
        random_seed: Seed of the initial weights, of the order of the data and of every other draw.
        weight_decay: Factor of the problem's regulariser, `None` where it is the problem's own.
        lr_sched_epochs: Epochs after which the learning rate changes.
        lr_sched_factors: What the initial learning rate is multiplied by from then on.
        lr_scheduler: A scheduler of torch that sets the learning rate.
        validation_size: Number of training examples held out for validation.
        full_evaluation: Whether evaluation includes the last, smaller batch of a split.
        bare_losses: Whether reported losses leave out the regulariser.
        reshuffle: Whether every epoch has a new order of the training data.
        fake_data_fraction: Size of synthetic data sets, 0 for real data.
        dtype: Floating-point type of data and model.
        device: Where the run takes place; not part of its identity.
        train_log_interval: Steps from one recorded minibatch loss to the next; not part of the
            identity either, so that a run that is there is not done again for other steps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    testproblem: str
    optimizer: str
    optimizer_target: str
    optimizer_source: str = ""
    hyperparameters: dict[str, Any]
    optimizer_needs: tuple[str, ...] = ()
    parameter_groups: dict[str, dict[str, Any]] = {}
    batch_size: int
    num_epochs: int
    random_seed: int = DEFAULT_SEED
    weight_decay: float | None = None
    lr_sched_epochs: tuple[int, ...] | None = None
    lr_sched_factors: tuple[float, ...] | None = None
    lr_scheduler: LrScheduler | None = None
    validation_size: int = 0
    full_evaluation: bool = False
    bare_losses: bool = False
    reshuffle: bool = True
    fake_data_fraction: float = 0.0
    dtype: str = "float32"
    device: str = "cpu"
    train_log_interval: int = DEFAULT_LOG_INTERVAL

    @property
    def run_id(self) -> str:
        """A hash of everything that the numbers depend on, whatever the order of its parts."""
        # What is left at its default does not count: an option that is added later leaves alone
        # the identity of runs without it.
        identity = self.model_dump(
            mode="json", exclude=_NOT_PART_OF_THE_IDENTITY, exclude_defaults=True
        )
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def command(self) -> str:
        """The command that reproduces the run."""
        return shlex.join(command_words(self))


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
    choice = find_optimizer(optimizer)
    groups = None if parameter_groups is None else checked_groups(parameter_groups)
    given = in_json_types("Hyperparameters", hyperparameters or {})
    chosen, groups = checked_arguments(choice, given, groups)
    schedule = _checked_schedule(lr_sched_epochs, lr_sched_factors, chosen)
    if schedule and lr_scheduler is not None:
        raise ArgumentError(
            "A learning rate follows a step schedule or a scheduler, not both; got "
            f"lr_sched_epochs={list(schedule[0])} and lr_scheduler={lr_scheduler!r}. Leave one out."
        )
    scheduler = None if lr_scheduler is None else checked_scheduler(lr_scheduler)
    needed = needs_of(choice, chosen, groups) if needs is None else checked_needs(needs)
    check_together(needed, groups)
    batch_size = checks.integer(
        "batch_size", problem.batch_size if batch_size is None else batch_size, least=1
    )
    validation_size = checks.integer("validation_size", validation_size, least=0)
    check_sizes(problem, batch_size, validation_size)
    return RunSpecification(
        testproblem=problems.usable_name(testproblem),
        optimizer=choice.name,
        optimizer_target=choice.target,
        optimizer_source=choice.source,
        hyperparameters=in_json_types("Hyperparameters", chosen),
        optimizer_needs=needed,
        parameter_groups=groups,
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
