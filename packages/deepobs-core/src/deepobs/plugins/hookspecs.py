# mypy: disable-error-code="empty-body"
"""The hooks a plugin may implement.

A plugin is a module named by an entry point of the group `deepobs`. It states the version of this
interface as `DEEPOBS_API_VERSION`, marks its functions with `hookimpl`, and imports nothing heavy:

    from deepobs.plugins import ProblemSpec, hookimpl

    DEEPOBS_API_VERSION = 1

    @hookimpl
    def deepobs_problems():
        return [ProblemSpec(name="acme_mlp", target="acme.problems:AcmeMLP", ...)]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from deepobs.plugins.specs import (
        CommandSpec,
        DatasetSpec,
        ExecutorSpec,
        OptimizerSpec,
        PlotSpec,
        ProblemSpec,
        RunnerSpec,
        SuiteSpec,
        TrackerSpec,
    )
    from deepobs.records import ExperimentRuns, RunRecord
    from deepobs.run_specifications import RunSpecification

PROJECT = "deepobs"

# To be raised when a plugin that fits the old interface would fail with the new one: then it is
# refused with both numbers instead of failing in the middle of a run.
API_VERSION = 1

OBSERVER_HOOKS = (
    "deepobs_run_started",
    "deepobs_steps_taken",
    "deepobs_epoch_ended",
    "deepobs_run_ended",
    "deepobs_run_failed",
)
"""The hooks that are called while a run is executed."""

QUESTION_HOOKS = ("deepobs_experiment_runs",)
"""The hooks that are called with what a user wrote: their errors are raised."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def deepobs_problems() -> Iterable[ProblemSpec]:
    """Describe the test problems this plugin offers."""


@hookspec
def deepobs_datasets() -> Iterable[DatasetSpec]:
    """Describe the data sets this plugin offers."""


@hookspec
def deepobs_optimizers() -> Iterable[OptimizerSpec]:
    """Describe the optimizers this plugin offers under a short name."""


@hookspec
def deepobs_runners() -> Iterable[RunnerSpec]:
    """Describe the runners this plugin offers."""


@hookspec
def deepobs_suites() -> Iterable[SuiteSpec]:
    """Describe named sets of test problems."""


@hookspec
def deepobs_executors() -> Iterable[ExecutorSpec]:
    """Describe executor backends for many runs."""


@hookspec
def deepobs_plots() -> Iterable[PlotSpec]:
    """Describe ways to draw results."""


@hookspec
def deepobs_trackers() -> Iterable[TrackerSpec]:
    """Describe programs that track experiments, for `--track`."""


@hookspec
def deepobs_commands() -> Iterable[CommandSpec]:
    """Describe sub-commands of `deepobs`."""


@hookspec
def deepobs_run_started(
    specification: RunSpecification, steps_per_epoch: int, resumed_at: int
) -> None:
    """Observe that a run starts: everything was checked, nothing was trained yet.

    `resumed_at` is 0, or the steps of the checkpoint from which the run continues: then the
    evaluations before it are observed once more.
    """


@hookspec
def deepobs_steps_taken(
    specification: RunSpecification, steps: int, metrics: Mapping[str, float]
) -> None:
    """Observe steps, 100 at a time or those to the end of an epoch.

    `steps` counts from the beginning of the run. `metrics` maps `minibatch_train_loss`, the
    objective of the latest step, and where they exist `learning_rate`, that of the next step, and
    `gradient_norm`, the latest that was recorded, to their values.
    """


@hookspec
def deepobs_epoch_ended(
    specification: RunSpecification,
    epoch: int,
    metrics: Mapping[str, float],
    steps: int,
    lr: float | None,
) -> None:
    """Observe an evaluation: before the first epoch (`epoch` is 0) and after every epoch.

    `steps` are those since the beginning of the run; `lr` is the learning rate at the beginning of
    the epoch that ended, `None` before the first one or where the optimizer has none.

    `metrics` maps `train_loss`, `test_loss`, and where they exist `valid_loss`, `train_accuracy`,
    `valid_accuracy` and `test_accuracy`, to their values. With `evaluate_every`, it is called after
    the epochs that end with an evaluation; those within epochs are not observed.
    """


@hookspec
def deepobs_run_ended(record: RunRecord) -> None:
    """Observe that a run ended, completed or diverged."""


@hookspec
def deepobs_run_failed(specification: RunSpecification, error: BaseException) -> None:
    """Observe that an exception or an interruption ended a run, which has no result."""


@hookspec(firstresult=True)
def deepobs_experiment_runs(file: Path, output_dir: Path) -> ExperimentRuns | None:
    """Say which runs an experiment file has now, whose results are in `output_dir`.

    The first answer counts; `None` leaves the file to other plugins. Mistakes in the file are
    raised as `DeepOBSError`.
    """
