"""What is kept of a run: one JSON file that old and new analyzers read."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

SCHEMA_VERSION = 1


def _none_unless_finite(value: object) -> object:
    is_lost = isinstance(value, float) and not math.isfinite(value)
    return None if is_lost else value


Loss = Annotated[float | None, BeforeValidator(_none_unless_finite)]
"""A measured value; `None`, in the file `null`, where it was not finite."""


class DataSetRecord(BaseModel):
    """Which data a run used.

    Attributes:
        name: Name of the data set.
        fingerprint: SHA-256 of the examples, `None` where the data set states none.
        split_sizes: Number of examples in each split.
    """

    name: str
    fingerprint: str | None = None
    split_sizes: dict[str, int] = {}


class RunRecord(BaseModel):
    """The result of one run: a superset of the keys of DeepOBS 1.2.

    Lists of losses and accuracies have `num_epochs + 1` entries: before the first and after every
    epoch. Those of splits or metrics that the problem has not are `None` and left out of the file.
    After divergence they are filled with their first entry, as the original does; `status` and
    `diverged_at_epoch` tell. Where a loss was not finite stands `None`, in the file `null`.

    Attributes:
        schema_version: Version of this layout.
        run_id: Hash of the specification.
        status: How the run ended.
        testproblem: Name of the test problem.
        optimizer_name: Name of the optimizer.
        optimizer_target: Where its class is, as `package.module:Class`.
        optimizer_source: A hash of the optimizer's code where it is the user's own, else empty.
        optimizer_hyperparams: Hyperparameters that were given, by name.
        optimizer_needs: What the optimizer needed of the training loop.
        parameter_groups: Further hyperparameters, by the role of the parameters they were for.
        batch_size: Examples a step.
        num_epochs: Passes over the training set that were asked for.
        random_seed: Seed of everything random.
        weight_decay: Factor of the problem's regulariser, 0 where it has none; `None` where the
            problem does not say.
        training_params: The schedule and the other arguments of training.
        train_losses: Mean losses on a fixed part of the training set.
        valid_losses: Mean losses on what was held out of the training set.
        test_losses: Mean losses on the test set.
        train_accuracies: Accuracies on the same part of the training set, from 0 to 1.
        valid_accuracies: Accuracies on what was held out.
        test_accuracies: Accuracies on the test set.
        minibatch_train_losses: Objectives at every `train_log_interval`-th step of an epoch.
        diverged_at_epoch: The epoch in which a loss was not finite, counted from 1; 0 where it was
            not finite before training.
        diverged_at_step: The step in which the objective was not finite, counted from 1; `None`
            where only an evaluation noticed.
        iterates: Parameters at every evaluation, up to divergence, of problems that record them
            (functions of two variables); `None` for others.
        train_seconds: Time spent in training, an entry an epoch, without evaluation.
        eval_seconds: Time spent in evaluation, an entry an evaluation.
        steps: Optimization steps taken.
        gradient_evaluations: Gradients of the objective computed, more than `steps` for some
            optimizers; products with its Hessian are not counted.
        resumed_at_steps: After how many steps the run went on from a checkpoint, every time; `None`
            where it was not interrupted.
        fake_data: Whether synthetic data stood in for the real ones.
        full_evaluation: Whether the last, smaller batch of a split was evaluated, too.
        bare_losses: Whether the losses leave out the regulariser.
        dataset: Which data were used.
        dtype: Floating-point type of data and model, such as "float32".
        device: Device of the run, such as "cpu" or "cuda:0".
        hardware: Processor, cores and threads, and the accelerator if one was used.
        versions: Versions of Python, torch and the plugins involved.
        command: The command that reproduces the run.
        started_at: When the run began, in UTC, as ISO 8601 has it.
    """

    model_config = ConfigDict(extra="ignore")

    schema_version: int = SCHEMA_VERSION
    run_id: str
    status: Literal["completed", "diverged"]
    testproblem: str
    optimizer_name: str
    optimizer_target: str
    optimizer_source: str = ""
    optimizer_hyperparams: dict[str, Any]
    optimizer_needs: tuple[str, ...] = ()
    parameter_groups: dict[str, dict[str, Any]] = {}
    batch_size: int
    num_epochs: int
    random_seed: int
    weight_decay: float | None
    training_params: dict[str, Any]

    train_losses: list[Loss]
    valid_losses: list[Loss] | None = None
    test_losses: list[Loss]
    train_accuracies: list[Loss] | None = None
    valid_accuracies: list[Loss] | None = None
    test_accuracies: list[Loss] | None = None
    minibatch_train_losses: list[Loss]
    diverged_at_epoch: int | None = None
    diverged_at_step: int | None = None
    iterates: list[list[float]] | None = None

    train_seconds: list[float]
    eval_seconds: list[float]
    steps: int
    gradient_evaluations: int

    resumed_at_steps: list[int] | None = None

    fake_data: bool
    full_evaluation: bool
    bare_losses: bool
    dataset: DataSetRecord
    dtype: str
    device: str
    hardware: dict[str, Any]
    versions: dict[str, str]
    command: str
    started_at: str

    def to_json(self) -> str:
        """The text of the result file: strict JSON, without bare NaN or Infinity."""
        return self.model_dump_json(exclude=_absent(self), indent=1)


_OPTIONAL_LISTS = (
    "valid_losses",
    "train_accuracies",
    "valid_accuracies",
    "test_accuracies",
    "iterates",
    "resumed_at_steps",
)


def _absent(record: RunRecord) -> set[str]:
    """Old analyzers take a metric that is there for one that was measured."""
    return {name for name in _OPTIONAL_LISTS if getattr(record, name) is None}
