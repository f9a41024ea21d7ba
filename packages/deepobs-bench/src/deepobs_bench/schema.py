"""What an experiment file says: the tables it consists of, and the keys of each."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from deepobs_bench import values
from deepobs_bench.axes import Axis
from deepobs_bench.tuning import TuningSettings
from deepobs_bench.values import (
    Count,
    CountOrZero,
    Flag,
    Fraction,
    Names,
    NonNegative,
    OptimizerName,
    Positive,
    ProblemName,
    Seeds,
    Settings,
    SuiteName,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

CONSTANT = "constant"
"""The schedule that every experiment has without describing it."""


class Table(BaseModel):
    """A table of the file. In YAML one without any keys reads as nothing at all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_an_empty_table(cls, value: object) -> object:
        return {} if value is None else value


class Training(Table):
    """How to train and measure, under the names of the options of `deepobs run`.

    Attributes:
        epochs: Passes over the training set.
        batch_size: Examples a step.
        weight_decay: Factor of the problem's regulariser.
        validation_size: Training examples held out for validation.
        full_evaluation: Whether to evaluate the last, smaller batch of a split, too.
        bare_losses: Whether reported losses leave out the regulariser.
        same_order: Whether every epoch repeats the order of the first.
        log_interval: Steps from one recorded minibatch loss to the next.
        dtype: Floating-point type of data and model.
        fake_data: Size of synthetic data sets as a fraction of the real ones, 0 for real data.
    """

    epochs: CountOrZero | None = None
    batch_size: Count | None = None
    weight_decay: NonNegative | None = None
    validation_size: CountOrZero | None = None
    full_evaluation: Flag | None = None
    bare_losses: Flag | None = None
    same_order: Flag | None = None
    log_interval: Count | None = None
    dtype: Annotated[str, values.one_of("float32", "float64", "bfloat16", "float16")] | None = None
    fake_data: Fraction | None = None


class Choices(Table):
    """What is tried of an optimizer: the product of all lists.

    Attributes:
        hyperparameters: Those of one value each.
        grid: Those of several values.
        schedules: Names of schedules; all that the file describes where it is left out.
    """

    hyperparameters: Settings = Field(default_factory=dict)
    grid: dict[str, Axis] = Field(default_factory=dict)
    schedules: Names | None = None


class Optimizer(Choices):
    """An optimizer under a name that the table of results shows.

    Attributes:
        class_: Its name as `deepobs run` takes it; in the file `class`, by default the table's own.
        needs: What it needs from the training loop; detected where it is left out.
        parameter_groups: Hyperparameters of the parameters of a role, by the name of the role.
        tune: How to choose the other hyperparameters; it has seeds of its own.
    """

    class_: OptimizerName = Field(alias="class")
    needs: Names | None = None
    parameter_groups: dict[str, Settings] | None = None
    tune: TuningSettings | None = None


class Override(Training):
    """What is different for one test problem.

    Attributes:
        optimizers: What is tried there of some of the optimizers, key by key.
    """

    optimizers: dict[str, Choices] = Field(default_factory=dict)


class Schedule(Table):
    """How the learning rate changes: by a class of torch, or step by step.

    Attributes:
        scheduler: A class of `torch.optim.lr_scheduler`.
        arguments: Its arguments by name; the texts "num_epochs" and "num_steps" stand for the
            length of the run.
        every: Whether it takes its steps after each epoch or after each training step.
        epochs: Epochs after which the rate changes.
        factors: What the first rate is multiplied by from then on.
    """

    scheduler: Text | None = None
    arguments: Settings = Field(default_factory=dict)
    every: Annotated[str, values.one_of("epoch", "step")] = "epoch"
    epochs: tuple[CountOrZero, ...] | None = None
    factors: tuple[NonNegative, ...] | None = None

    @model_validator(mode="after")
    def _has_one_form(self) -> Schedule:
        has_steps = self.epochs is not None or self.factors is not None
        if (self.scheduler is None) != has_steps:
            raise values.refused(
                "must have either a scheduler (with arguments and every), or epochs and factors"
            )
        if has_steps and not _fit(self.epochs or (), self.factors or ()):
            raise values.refused("must have increasing epochs, and as many factors as epochs")
        return self


def _fit(epochs: Sequence[int], factors: Sequence[float]) -> bool:
    is_increasing = all(earlier < later for earlier, later in itertools.pairwise(epochs))
    return is_increasing and len(epochs) == len(factors)


class Budget(Table):
    """When to stop.

    Attributes:
        run_minutes: Time limit of one run.
        hours: Start no further run so long after the command was called.
    """

    run_minutes: Positive | None = None
    hours: Positive | None = None


class Experiment(Table):
    """A whole file: problems x optimizers x hyperparameters x schedules x seeds.

    Attributes:
        problems: Names of test problems.
        suites: Names of sets of them.
        seeds: A run for each.
        optimizers: What is compared, by the name that the table of results shows.
        schedules: Schedules of the learning rate, by names of the user's own.
        defaults: How all problems are trained.
        overrides: What is different for a problem, by its name.
        budget: When to stop.
    """

    problems: tuple[ProblemName, ...] = ()
    suites: tuple[SuiteName, ...] = ()
    seeds: Seeds = (42,)
    optimizers: Annotated[dict[str, Optimizer], BeforeValidator(values.tables_of_optimizers)]
    schedules: dict[str, Schedule] = Field(default_factory=dict)
    defaults: Training = Training()
    overrides: dict[str, Override] = Field(default_factory=dict)
    budget: Budget = Budget()
