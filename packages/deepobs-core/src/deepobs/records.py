"""What is kept of a run: the record in its result file; without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from deepobs.html_views import grid
from deepobs.metrics import METRICS, series_name
from deepobs.run_specifications import STORED, Values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class ExperimentRuns:
    """The runs of an experiment file as it is now, whether they have results or not.

    Attributes:
        labels: What the experiment calls the optimizer of each run, by `run_id`: two of its
            optimizers can share a run.
        earlier: The `run_id` of a run by those that earlier releases gave it.
        tunings: For each tuning, what the experiment calls the optimizer, and the file of its
            record; `None` where it is not done. The runs in the record belong to the optimizer.
    """

    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    earlier: dict[str, str] = field(default_factory=dict)
    tunings: tuple[tuple[str, Path | None], ...] = ()


def _none_unless_finite(value: object) -> object:
    is_lost = isinstance(value, float) and not math.isfinite(value)
    return None if is_lost else value


Loss = Annotated[float | None, BeforeValidator(_none_unless_finite)]
"""A measured value; `None`, in the file `null`, where it was not finite."""


def _best(metric: str, values: list[float | None]) -> float | None:
    finite = [value for value in values if value is not None]
    return (max if metric.endswith("accuracy") else min)(finite, default=None)


class DataSetRecord(BaseModel):
    """Which data a run used.

    Attributes:
        name: Name of the data set.
        fingerprint: SHA-256 of the examples, `None` if the data set states none.
        split_sizes: Number of examples in each split.
    """

    name: str
    fingerprint: str | None = None
    split_sizes: dict[str, int] = {}


class RunRecord(BaseModel):
    """The result of one run: a superset of the keys of DeepOBS 1.2.

    Lists of losses and accuracies have an entry for each evaluation: `num_epochs + 1`, before the
    first and after every epoch, unless `evaluated_at_steps` says otherwise. Those of splits or
    metrics that the problem does not have are `None` and absent from the file. After divergence
    they are filled with their first entry, as in the original; `status` and `diverged_at_epoch`
    record it. A loss that was not finite is `None`, in the file `null`.

    Attributes:
        schema_version: Version of this layout.
        run_id: Hash of the specification.
        status: How the run ended.
        testproblem: Name of the test problem.
        optimizer_name: Name of the optimizer.
        label: What the experiment that executed the run calls the optimizer; empty for its name.
        optimizer_target: Its class, as `package.module:Class`.
        optimizer_source: A fingerprint of the optimizer's code if no release vouches for it, else
            empty.
        code: Fingerprints of other code that no release vouches for, by its part in the run.
        optimizer_hyperparams: Hyperparameters of the optimizer by name, those that were given and
            the learning rate.
        optimizer_defaults: The other arguments of its constructor, as far as JSON can hold them.
        optimizer_needs: Step protocol of the optimizer, as `deepobs info` names it; empty for
            `plain`, unless that was declared where another one would be inferred.
        parameter_groups: Further hyperparameters by parameter role.
        batch_size: Examples per step.
        num_epochs: Passes over the training set that were requested, the last of which `max_steps`
            may have ended early.
        random_seed: Seed of everything random.
        weight_decay: Factor of the problem's regularizer, 0 without one; `None` if the problem does
            not state it.
        training_params: The schedule and what else changes the numbers of training: the analysis
            tells configurations apart by it.
        train_losses: Mean losses on a fixed part of the training set.
        valid_losses: Mean losses on the examples held out of the training set.
        test_losses: Mean losses on the test set.
        train_accuracies: Accuracies on the same part of the training set, from 0 to 1.
        valid_accuracies: Accuracies on the held-out examples.
        test_accuracies: Accuracies on the test set.
        evaluated_at_steps: The number of steps before each evaluation, of runs with `max_steps` or
            `evaluate_every`; `None` for those that were evaluated after every whole epoch.
        minibatch_train_losses: Objectives at every `train_log_interval`-th step of an epoch.
        gradient_norms: Norms of the gradient of all parameters at the same steps, before it is
            clipped, of runs with `clip_norm` or `log_gradient_norm`; `None` for others.
        diverged_at_epoch: The epoch in which a loss was not finite, counted from 1; 0 if it was not
            finite before training.
        diverged_at_step: The step in which the objective was not finite, counted from 1; `None` if
            only an evaluation noticed.
        iterates: Parameters at every evaluation, up to divergence, of problems that record them
            (functions of two variables); `None` for others.
        train_seconds: Training time of each epoch, without evaluation.
        eval_seconds: Time of each evaluation.
        compile_seconds: Time in which `torch.compile` compiled the model, apart from the others;
            `None` for models that were not compiled.
        steps: Optimization steps taken.
        steps_per_epoch: Steps of a whole epoch; `None` in files of earlier releases.
        gradient_evaluations: Gradients of the objective computed, more than `steps` for some
            optimizers; products with its Hessian are not counted.
        skipped_steps: Those of the `steps` in which scaled gradients in float16 were not finite, so
            that weights stayed as they were; `None` for other runs.
        resumed_at_steps: Steps taken when the run resumed from a checkpoint, once per resumption;
            `None` if it was not interrupted.
        packed: The number of runs that were trained as one batched model, of which this is one; its
            times are its share of theirs. `None` for a run on its own.
        fake_data: Whether synthetic data replaced the real ones.
        full_evaluation: Whether the last, smaller batch of a split was evaluated, too.
        bare_losses: Whether the losses exclude the regularizer.
        dataset: Which data were used.
        dtype: Floating-point type of data and model, such as "float32".
        device: Device of the run, such as "cpu" or "cuda:0".
        hardware: Processor, cores and threads, and the accelerator if one was used.
        versions: Versions of Python, torch and the plugins involved.
        command: The command that reproduces the run.
        started_at: When the run began, in UTC, in ISO 8601 format.
    """

    model_config = STORED | ConfigDict(extra="ignore")

    schema_version: int = SCHEMA_VERSION
    run_id: str
    status: Literal["completed", "diverged"]
    testproblem: str
    optimizer_name: str
    label: str = ""
    optimizer_target: str
    optimizer_source: str = ""
    code: dict[str, str] = {}
    optimizer_hyperparams: Values
    optimizer_defaults: Values = {}
    optimizer_needs: tuple[str, ...] = ()
    parameter_groups: dict[str, Values] = {}
    batch_size: int
    num_epochs: int
    random_seed: int
    weight_decay: float | None
    training_params: Values

    train_losses: list[Loss]
    valid_losses: list[Loss] | None = None
    test_losses: list[Loss]
    train_accuracies: list[Loss] | None = None
    valid_accuracies: list[Loss] | None = None
    test_accuracies: list[Loss] | None = None
    evaluated_at_steps: list[int] | None = None
    minibatch_train_losses: list[Loss]
    gradient_norms: list[Loss] | None = None
    diverged_at_epoch: int | None = None
    diverged_at_step: int | None = None
    iterates: list[list[float]] | None = None

    train_seconds: list[float]
    eval_seconds: list[float]
    compile_seconds: float | None = None
    steps: int
    steps_per_epoch: int | None = None
    gradient_evaluations: int
    skipped_steps: int | None = None

    resumed_at_steps: list[int] | None = None
    packed: int | None = None

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

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield from {
            "testproblem": self.testproblem,
            "optimizer": self.label or self.optimizer_name,
            "hyperparameters": self.optimizer_hyperparams,
            "num_epochs": self.num_epochs,
            "random_seed": self.random_seed,
            "status": self.status,
        }.items()
        for metric, values in self._measured():
            if metric.startswith("test"):
                yield metric, values[-1]

    def _repr_html_(self) -> str:
        settings = ", ".join(f"{name} = {v}" for name, v in self.optimizer_hyperparams.items())
        caption = (
            f"{self.label or self.optimizer_name} on {self.testproblem}, {settings}, "
            f"seed {self.random_seed}: {self.status}"
            + (f" in epoch {self.diverged_at_epoch}" if self.status == "diverged" else "")
        )
        rows = [
            (metric.replace("_", " "), values[0], _best(metric, values), values[-1])
            for metric, values in self._measured()
        ]
        return grid(caption, ("", "untrained", "best", f"epoch {self.num_epochs}"), rows)

    def _measured(self) -> Iterator[tuple[str, list[float | None]]]:
        """Each metric that the problem has, with its values over the epochs."""
        for metric in METRICS:
            values = getattr(self, series_name(metric))
            if values is not None:
                yield metric, values

    def to_json(self) -> str:
        """The text of the result file: strict JSON, without bare NaN or Infinity."""
        # Older analyzers take a metric that is present, even as null, for one that was measured.
        absent = {name for name in OPTIONAL_FIELDS if getattr(self, name) is None}
        return self.model_dump_json(exclude=absent, indent=1)


OPTIONAL_FIELDS = (
    "valid_losses",
    "train_accuracies",
    "valid_accuracies",
    "test_accuracies",
    "evaluated_at_steps",
    "gradient_norms",
    "iterates",
    "compile_seconds",
    "skipped_steps",
    "resumed_at_steps",
    "packed",
)
"""Fields of `RunRecord` that are absent from result files where they are `None`."""
