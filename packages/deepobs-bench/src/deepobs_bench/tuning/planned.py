"""A tuning in the plan of an experiment, before its first run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from deepobs import config
from deepobs.checks import in_json_types
from deepobs.errors import DeepOBSError
from deepobs.records import DEFAULT_SEED
from deepobs.runs import specify
from deepobs.runs.optimizers import find_optimizer
from deepobs_bench.tuning import result
from deepobs_bench.tuning.candidates import Base, candidate, common_parts
from deepobs_bench.tuning.protocol import complete

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.records import RunSpecification
    from deepobs_bench.tuning.result import TuningResult
    from deepobs_bench.tuning.settings import TuningSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTuning:
    """A search for hyperparameters, with the experiment's names of its parts.

    Attributes:
        problem: Name of the problem.
        optimizer: Name of the optimizer in the experiment.
        schedule: Name of the learning-rate schedule.
        optimizer_class: The optimizer, as `specify` takes it.
        settings: How to search.
        hyperparameters: Those that are not tuned.
        options: Arguments of `specify` that all runs share.
        config: Values of `deepobs.config` for the runs, as `temporary` takes them.
        num_runs: Number of runs, including those of the report.
        example: A run like them; `None` if what is not tuned does not suffice for one.
    """

    problem: str
    optimizer: str
    schedule: str
    optimizer_class: str
    settings: TuningSettings
    hyperparameters: dict[str, Any]
    options: dict[str, Any]
    config: dict[str, Any]
    num_runs: int
    example: RunSpecification | None

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The names by which `only` selects the tuning, by key; it has seeds of its own."""
        return {
            "problem": (self.problem,),
            "optimizer": (self.optimizer, self.optimizer_class),
            "schedule": (self.schedule,),
            "seed": (),
        }


def planned_tuning(
    settings: TuningSettings,
    *,
    problem: str,
    optimizer: str,
    schedule: str,
    optimizer_class: str,
    hyperparameters: dict[str, Any],
    options: dict[str, Any],
    config: dict[str, Any],
) -> PlannedTuning:
    """Plan a tuning; the arguments are attributes of the result, and `config` is in force.

    Raises:
        DeepOBSError: The settings contradict each other, or do not fit the problem or optimizer.
    """
    protocol = complete(settings, Base(problem, optimizer_class, hyperparameters, options))
    example = None
    held_out = {**options, **protocol.run_options}
    with contextlib.suppress(DeepOBSError):  # such as a learning rate without a default
        example = specify(problem, optimizer_class, hyperparameters, **held_out)
    return PlannedTuning(
        problem=problem,
        optimizer=optimizer,
        schedule=schedule,
        optimizer_class=optimizer_class,
        settings=settings,
        hyperparameters=hyperparameters,
        options=options,
        config=config,
        num_runs=protocol.trials * len(protocol.seeds) + len(protocol.report_seeds),
        example=example,
    )


def result_file_of(planned: PlannedTuning, output_dir: Path) -> Path | None:
    """The file of the result of a tuning with exactly these settings; `None` if there is none.

    Raises:
        DeepOBSError: The settings do not fit the problem or the optimizer.
    """
    name = find_optimizer(planned.optimizer_class).name
    directory = result.directory_of(output_dir, planned.problem, name)
    files = sorted(directory.glob(f"*{result.SUFFIX}"), key=lambda path: -path.stat().st_mtime)
    with config.temporary(**planned.config):
        for path in files:
            with contextlib.suppress(OSError, ValidationError):
                found = result.read(path)
                if _is_of(planned, found):
                    return path
    return None


def _is_of(planned: PlannedTuning, found: TuningResult) -> bool:
    """Whether a result is what the tuning would give now."""
    setting = next((trial.setting for trial in found.trials if trial.runs), None)
    if setting is None:
        return False
    given = in_json_types("Hyperparameters", planned.hyperparameters)
    base = Base(planned.problem, planned.optimizer_class, given, planned.options)
    # How many trials were suggested at once depends on the jobs of the command, not on the file.
    protocol = complete(planned.settings, base, jobs=found.protocol.at_once)
    base = replace(base, options={**base.options, **protocol.run_options})
    for example in candidate(base, setting, [DEFAULT_SEED]).specifications:
        requested = {
            "testproblem": example.testproblem,
            "optimizer": example.optimizer,
            "optimizer_target": example.optimizer_target,
            "hyperparameters": given,
            "training": common_parts(example, protocol.space),
            "protocol": protocol,
        }
        return found.model_copy(update=requested).tuning_id == found.tuning_id
    return False  # the optimizer refuses these values now
