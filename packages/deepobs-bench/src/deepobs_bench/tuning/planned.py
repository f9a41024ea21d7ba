"""A tuning in the plan of an experiment, before its first run."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from deepobs import config
from deepobs.checks import in_json_types
from deepobs.run_specifications import DEFAULT_SEED
from deepobs.runs.optimizers import find_optimizer
from deepobs_bench.tuning import result
from deepobs_bench.tuning.candidates import candidate, common_parts
from deepobs_bench.tuning.protocol import complete, explanation
from deepobs_bench.tuning.searched_names import Base
from deepobs_bench.tuning.spaces import BATCH_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification
    from deepobs_bench.tuning.result import TuningResult
    from deepobs_bench.tuning.settings import TuningSettings
    from deepobs_bench.tuning.spaces import Dimension


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
        examples: As many runs, with values from the middle of the space; none if there is no such.
        obstacle: Why there are no examples.
        explanation: How the winner will be selected and reported, in words.
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
    examples: tuple[RunSpecification, ...]
    obstacle: str
    explanation: tuple[str, ...]

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
    jobs: int = 1,
) -> PlannedTuning:
    """Plan a tuning; the arguments are attributes of the result, and `config` is in force.

    With `jobs` runs at a time, samplers that learn suggest as many.

    Raises:
        DeepOBSError: The settings contradict each other, or do not fit the problem or optimizer.
    """
    base = Base(problem, optimizer_class, hyperparameters, options)
    protocol = complete(settings, base, jobs=jobs)
    base = replace(base, options={**options, **protocol.run_options})
    num_runs = protocol.trials * len(protocol.seeds) + len(protocol.report_seeds)
    suggested = [
        candidate(base, setting, [DEFAULT_SEED]) for setting in _typical_settings(protocol.space)
    ]
    runs = [run for one in suggested for run in one.specifications]
    return PlannedTuning(
        problem=problem,
        optimizer=optimizer,
        schedule=schedule,
        optimizer_class=optimizer_class,
        settings=settings,
        hyperparameters=hyperparameters,
        options=options,
        config=config,
        num_runs=num_runs,
        examples=tuple(itertools.islice(itertools.cycle(runs), num_runs)),
        obstacle="" if runs else suggested[0].refusal,
        explanation=explanation(protocol, find_optimizer(optimizer_class).name),
    )


def _typical_settings(space: Mapping[str, Dimension]) -> list[dict[str, Any]]:
    """A point in the middle of a space, with the least and the largest batch size."""
    middle = {name: dimension.middle() for name, dimension in space.items()}
    sizes = space[BATCH_SIZE].ends() if BATCH_SIZE in space else ()
    return [middle | {BATCH_SIZE: size} for size in sizes] or [middle]


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
            "training": common_parts(example, base, protocol.space),
            "protocol": protocol,
        }
        return found.model_copy(update=requested).tuning_id == found.tuning_id
    return False  # the optimizer refuses these values now
