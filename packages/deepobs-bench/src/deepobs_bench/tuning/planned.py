"""A tuning in the plan of an experiment, before its first run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.errors import DeepOBSError
from deepobs.runs import specify
from deepobs_bench.tuning.candidates import Base
from deepobs_bench.tuning.protocol import complete

if TYPE_CHECKING:
    from deepobs.records import RunSpecification
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
