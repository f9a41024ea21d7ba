"""Carrying out a plan: its runs, then its tunings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepobs import config
from deepobs.errors import DeepOBSError, ExecutorError, OutputError
from deepobs_bench.outcomes import Failure
from deepobs_bench.standings import End, end_of, standing_of_tuning, standings
from deepobs_bench.tuning.result import path_of
from deepobs_bench.tuning.tune import tune
from deepobs_bench.watched import BudgetSpentError

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs_bench.expansion import PlannedTuning
    from deepobs_bench.plan import Plan
    from deepobs_bench.standings import Standing
    from deepobs_bench.sweep import Sweep
    from deepobs_bench.tuning import TuningResult


@dataclass
class Results:
    """What came of a plan.

    Attributes:
        ends: How its runs ended, by `run_id`.
        failures: Why some of them have no result.
        tuned: The tunings that came to an end.
        mistakes: Why others did not, by what was to be tuned.
        is_out_of_time: Whether something was left undone for lack of time.
    """

    ends: dict[str, End] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    tuned: list[tuple[PlannedTuning, TuningResult]] = field(default_factory=list)
    mistakes: dict[str, str] = field(default_factory=dict)
    is_out_of_time: bool = False

    def standings(self, plan: Plan) -> list[Standing]:
        """The best setting of every optimizer on every problem."""
        return [
            *standings(plan.runs, self.ends),
            *(standing_of_tuning(planned, result) for planned, result in self.tuned),
        ]

    def tuning_files(self, output_dir: Path) -> list[Path]:
        """Where it is kept what the tunings tried."""
        return [path_of(output_dir, result) for _, result in self.tuned]


def carry_out(plan: Plan, sweep: Sweep, *, jobs: int) -> Results:
    """Carry out what is missing, and take in what is there.

    Args:
        plan: What to do.
        sweep: Who does it.
        jobs: How many runs are carried out at the same time.

    Raises:
        OutputError: Results cannot be written.
        ExecutorError: The executor failed. What was done is kept.
    """
    results = Results()
    try:
        for specification, outcome in sweep.carry_out(plan.specifications):
            results.ends[specification.run_id] = end_of(outcome)
            if isinstance(outcome, Failure):
                results.failures.append(outcome)
        for tuning in plan.tunings:
            _tune(tuning, sweep, jobs, results)
    except BudgetSpentError:
        results.is_out_of_time = True
    return results


def _tune(planned: PlannedTuning, sweep: Sweep, jobs: int, results: Results) -> None:
    try:
        with config.temporary(**planned.config):
            tuned = tune(
                planned.problem,
                planned.optimizer_class,
                planned.settings,
                sweep=sweep,
                hyperparameters=planned.hyperparameters,
                options=planned.options,
                jobs=jobs,
            )
    except (BudgetSpentError, ExecutorError, OutputError):
        raise
    except DeepOBSError as error:  # the others can go on
        results.mistakes[f"{planned.optimizer} on {planned.problem}"] = str(error)
    else:
        results.tuned.append((planned, tuned))
