"""What a run is, completely: the same specification gives the same numbers."""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from deepobs import checks, config
from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.runs.optimizers import checked_hyperparameters, find_optimizer, target_of_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

DEFAULT_SEED = 42
DEFAULT_LOG_INTERVAL = 10
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
        needs_closure: Whether the optimizer evaluates the objective itself.
        batch_size: Examples a step.
        num_epochs: Passes over the training set.
        random_seed: Seed of the initial weights, of the order of the data and of every other draw.
        weight_decay: Factor of the problem's regulariser, `None` where it is the problem's own.
        lr_sched_epochs: Epochs after which the learning rate changes.
        lr_sched_factors: What the initial learning rate is multiplied by from then on.
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
    needs_closure: bool = False
    batch_size: int
    num_epochs: int
    random_seed: int = DEFAULT_SEED
    weight_decay: float | None = None
    lr_sched_epochs: tuple[int, ...] | None = None
    lr_sched_factors: tuple[float, ...] | None = None
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
        identity = self.model_dump(mode="json", exclude=_NOT_PART_OF_THE_IDENTITY)
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def command(self) -> str:
        """The command that reproduces the run."""
        return shlex.join(_command(self))


def specify(
    testproblem: str,
    optimizer: str | type[torch.optim.Optimizer],
    hyperparameters: Mapping[str, object] | None = None,
    *,
    batch_size: int | None = None,
    num_epochs: int | None = None,
    random_seed: int = DEFAULT_SEED,
    weight_decay: float | None = None,
    lr_sched_epochs: Sequence[int] | None = None,
    lr_sched_factors: Sequence[float] | None = None,
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
        batch_size: Examples a step; `None` for the problem's default.
        num_epochs: Passes over the training set; `None` for the problem's default.
        random_seed: Seed of everything random.
        weight_decay: Factor of the problem's regulariser; `None` for its default.
        lr_sched_epochs: Epochs after which the learning rate changes, increasing.
        lr_sched_factors: What the initial learning rate is multiplied by from then on.
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
    chosen = checked_hyperparameters(choice, _in_json_types(hyperparameters or {}))
    schedule = _checked_schedule(lr_sched_epochs, lr_sched_factors, chosen)
    return RunSpecification(
        testproblem=problems.usable_name(testproblem),
        optimizer=choice.name,
        optimizer_target=choice.target,
        optimizer_source=choice.source,
        hyperparameters=_in_json_types(chosen),
        needs_closure=choice.needs_closure,
        batch_size=checks.integer(
            "batch_size", problem.batch_size if batch_size is None else batch_size, least=1
        ),
        num_epochs=checks.integer(
            "num_epochs", problem.epochs if num_epochs is None else num_epochs, least=0
        ),
        random_seed=checks.integer("random_seed", random_seed, least=0, most=_LARGEST_SEED),
        weight_decay=(
            None if weight_decay is None else checks.non_negative("weight_decay", weight_decay)
        ),
        lr_sched_epochs=schedule and schedule[0],
        lr_sched_factors=schedule and schedule[1],
        validation_size=checks.integer("validation_size", validation_size, least=0),
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
        raise ArgumentError("A learning-rate schedule needs an optimizer with a learning rate lr.")
    checked = tuple(checks.integer("lr_sched_epochs", epoch, least=0) for epoch in epochs)
    if any(later <= earlier for earlier, later in itertools.pairwise(checked)):
        raise ArgumentError(f"lr_sched_epochs must increase, got {list(checked)}.")
    return checked, tuple(checks.non_negative("lr_sched_factors", factor) for factor in factors)


def _in_json_types(hyperparameters: Mapping[str, object]) -> dict[str, Any]:
    """Hyperparameters as a result file will hold them, so that both give the same identity."""
    try:
        text = json.dumps(hyperparameters, allow_nan=False, default=_plain_number)
        converted: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"Hyperparameters must be finite numbers, texts, booleans or lists of them, "
            f"got {dict(hyperparameters)!r}."
        ) from error
    return converted


def _plain_number(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be kept in a result file")


def _command(specification: RunSpecification) -> list[str]:
    optimizer = specification.optimizer
    if target_of_name(optimizer) != specification.optimizer_target:
        optimizer = specification.optimizer_target
    words = ["deepobs", "run", specification.testproblem, optimizer]
    for name, value in specification.hyperparameters.items():
        words += ["--lr", repr(value)] if name == "lr" else ["-o", f"{name}={value}"]
    words += ["--epochs", str(specification.num_epochs)]
    words += ["--batch-size", str(specification.batch_size)]
    words += ["--seed", str(specification.random_seed)]
    if specification.weight_decay is not None:
        words += ["--weight-decay", repr(specification.weight_decay)]
    for epoch, factor in zip(
        specification.lr_sched_epochs or (), specification.lr_sched_factors or (), strict=True
    ):
        words += ["--lr-schedule", f"{epoch}:{factor}"]
    if specification.validation_size:
        words += ["--validation-size", str(specification.validation_size)]
    if specification.train_log_interval != DEFAULT_LOG_INTERVAL:
        words += ["--log-interval", str(specification.train_log_interval)]
    if specification.full_evaluation:
        words.append("--full-evaluation")
    if specification.bare_losses:
        words.append("--bare-losses")
    if not specification.reshuffle:
        words.append("--same-order")
    if specification.dtype != "float32":
        words += ["--dtype", specification.dtype]
    if specification.fake_data_fraction:
        words += ["--fake-data", str(specification.fake_data_fraction)]
    return words
