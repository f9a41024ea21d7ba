"""Experiments: the tables and keys that their files may hold."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.run_specifications import COMPILE_MODES, PRECISIONS
from deepobs_bench import _validation as values
from deepobs_bench._validation import must_be, one_of, refused
from deepobs_bench.tuning.settings import TuningChanges, TuningSettings
from deepobs_bench.tuning.spaces import parsed

CONSTANT = "constant"
"""Name of the schedule that keeps the learning rate, which every experiment has."""


def row_name(optimizer: str, schedule: str) -> str:
    """What tables and figures call an optimizer with a schedule: "mine + cosine"."""
    return optimizer if schedule == CONSTANT else f"{optimizer} + {schedule}"


_AXIS = (
    'a list of values such as [0.1, 0.01], or "log:1e-5:1e2:36" for 36 values (instead of log also '
    "uniform, int or one-minus-log)"
)


def _axis(value: object) -> object:
    if isinstance(value, list) and value:
        return value
    if isinstance(value, str):
        try:
            return parsed(value).grid()
        except ArgumentError:  # its message is about spaces of tuning
            pass
    raise must_be(_AXIS, value)


class Table(BaseModel):
    """A table of the file. In YAML a table without keys reads as null."""

    # A misspelled key must not pass: hours of runs would use the default instead.
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_an_empty_table(cls, value: object) -> object:
        return {} if value is None else value


class Training(Table):
    """How to train and evaluate, as `deepobs run` takes it.

    Attributes:
        epochs: Passes over the training set.
        max_steps: Steps after which a run ends, also within an epoch.
        train_fraction: Part of the training examples to train on.
        evaluate_every: From one evaluation to the next.
        bn_recalibration: Training batches from which statistics of batch normalization are computed
            for evaluations, 0 for those of training; by default 50 for optimizers with modes.
        precision: Type in which the model is evaluated, in `torch.autocast`.
        accumulate: Micro-batches of a batch whose gradients are added up.
        clip_norm: Largest norm of the gradient.
        clip_value: Largest absolute value in the gradient.
        log_gradient_norm: Whether to record norms of gradients.
        compile: Mode of `torch.compile` for the model.
        channels_last: Whether images and kernels are stored with their channels last.
        batch_size: Examples per step.
        weight_decay: Factor of the problem's regularizer.
        validation_size: Training examples held out for validation.
        full_evaluation: Whether to evaluate the last, smaller batch of a split, too.
        bare_losses: Whether reported losses exclude the regularizer.
        same_order: Whether every epoch repeats the order of the first.
        log_interval: Steps between recorded minibatch losses.
        dtype: Floating-point type of data and model.
        fake_data: Size of synthetic data sets as a fraction of the real ones, 0 for real data.
    """

    # `None` throughout: a default here would override what `defaults` says for all problems.
    epochs: values.CountOrZero | None = None
    max_steps: values.Count | None = None
    train_fraction: values.PositiveFraction | None = None
    evaluate_every: values.EvaluationInterval | None = None
    bn_recalibration: values.CountOrZero | None = None
    precision: Annotated[str, one_of(*PRECISIONS)] | None = None
    accumulate: values.Count | None = None
    clip_norm: values.Positive | None = None
    clip_value: values.Positive | None = None
    log_gradient_norm: values.Flag | None = None
    compile: Annotated[str, one_of(*COMPILE_MODES)] | None = None
    channels_last: values.Flag | None = None
    batch_size: values.Count | None = None
    weight_decay: values.NonNegative | None = None
    validation_size: values.CountOrZero | None = None
    full_evaluation: values.Flag | None = None
    bare_losses: values.Flag | None = None
    same_order: values.Flag | None = None
    log_interval: values.Count | None = None
    dtype: Annotated[str, one_of("float32", "float64", "bfloat16", "float16")] | None = None
    fake_data: values.Fraction | None = None


class Choices(Table):
    """The configurations of an optimizer: the product of all lists.

    Attributes:
        hyperparameters: Those of one value each.
        grid: Those of several values.
        schedules: Names of schedules; by default all that the file describes.
    """

    hyperparameters: values.AnyTable = Field(default_factory=dict)
    grid: dict[str, Annotated[tuple[Any, ...], BeforeValidator(_axis)]] = Field(
        default_factory=dict
    )
    schedules: values.Names | None = None


class Optimizer(Choices):
    """An optimizer under a name that the table of results shows.

    Attributes:
        class_: Its name as `deepobs run` takes it (`class` in the file); by default the table's.
        problems: Those of the file that it is tried on; by default all.
        needs: What it needs from the training loop; inferred by default.
        parameter_groups: Hyperparameters of the parameters of a role, by the name of the role.
        tune: How to choose the other hyperparameters; it has seeds of its own.
    """

    class_: values.OptimizerName = Field(alias="class")
    problems: values.Names | None = None
    needs: values.Names | None = None
    parameter_groups: dict[str, values.AnyTable] | None = None
    tune: TuningSettings | None = None


class OptimizerOverride(Choices):
    """What is tried of an optimizer on one problem, key by key.

    Attributes:
        tune: What is different in how it is tuned; its space is merged with the general one.
    """

    tune: TuningChanges | None = None


class Override(Training):
    """Overrides for one test problem.

    Attributes:
        optimizers: What is tried there of some of the optimizers, key by key.
    """

    optimizers: dict[str, OptimizerOverride] = Field(default_factory=dict)


class Schedule(Table):
    """How the learning rate changes: by a class of torch, or in steps.

    Attributes:
        scheduler: "warmup", "cosine", "trapezoid", "recommended" for that of each problem, or a
            class of `torch.optim.lr_scheduler`.
        arguments: Its arguments by name, and the `metric` that it follows; the strings "num_epochs"
            and "num_steps" stand for the length of the run, "lr" for the optimizer's learning rate.
        every: Whether a class of torch steps after each epoch, as by default, or after each
            training step.
        epochs: Epochs after which the rate changes.
        factors: Factors of the initial rate from then on.
    """

    scheduler: values.Text | None = None
    arguments: values.AnyTable = Field(default_factory=dict)
    every: Annotated[str, one_of("epoch", "step")] | None = None
    epochs: tuple[values.CountOrZero, ...] | None = None
    factors: tuple[values.NonNegative, ...] | None = None

    @model_validator(mode="after")
    def _has_one_form(self) -> Schedule:
        has_steps = self.epochs is not None or self.factors is not None
        keys = ("scheduler", "epochs", "factors")
        if (self.scheduler is None) != has_steps:
            raise refused(
                "must have either a scheduler (with arguments and every), or epochs and factors",
                absent=() if has_steps else keys,
            )
        epochs, factors = self.epochs or (), self.factors or ()
        is_increasing = all(earlier < later for earlier, later in itertools.pairwise(epochs))
        if has_steps and not (is_increasing and len(epochs) == len(factors)):
            raise refused(
                "must have increasing epochs, and as many factors as epochs",
                absent=keys if is_increasing else ("epochs",),
            )
        return self


class Budget(Table):
    """When to stop.

    Attributes:
        run_minutes: Time limit of one run.
        hours: Start no more runs this long after the start of the command.
    """

    run_minutes: values.Positive | None = None
    hours: values.Positive | None = None


class Experiment(Table):
    """A whole file: problems x optimizers x hyperparameters x schedules x seeds.

    Attributes:
        problems: Names of test problems.
        suites: Names of sets of test problems.
        seeds: A run for each.
        optimizers: What is compared, by the name that the table of results shows.
        schedules: Learning-rate schedules, by names of the user's own.
        defaults: How all problems are trained.
        overrides: What is different for a problem, by its name.
        budget: When to stop.
    """

    problems: tuple[values.ProblemName, ...] = ()
    suites: tuple[values.SuiteName, ...] = ()
    seeds: values.Seeds = (42,)
    optimizers: Annotated[dict[str, Optimizer], values.Optimizers]
    schedules: dict[str, Schedule] = Field(default_factory=dict)
    defaults: Training = Training()
    overrides: dict[str, Override] = Field(default_factory=dict)
    budget: Budget = Budget()

    def all_problems(self) -> list[str]:
        """The test problems by the shortest name of each, those of the suites last."""
        catalog = registry().problems
        suites = [registry().problems_of_suite(name) for name in self.suites]
        names = [*self.problems, *(name for suite in suites for name in suite)]
        # A problem can be named in full and in short, and be in two suites: it is run once.
        return list(dict.fromkeys(catalog.usable_name(name) for name in names))

    def optimizers_on(self, problem: str) -> list[str]:
        """The names of the optimizers that are tried on a test problem, in the file's order."""
        return [
            label
            for label, optimizer in self.optimizers.items()
            if optimizer.problems is None or problem in optimizer.problems
        ]
