"""What came of an experiment: the best setting of every optimizer on every problem."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.plugins import registry
from deepobs.records import series_name
from deepobs_bench.outcomes import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs.records import RunRecord, RunSpecification
    from deepobs_bench.expansion import PlannedRun, PlannedTuning
    from deepobs_bench.outcomes import Outcome
    from deepobs_bench.tuning.result import TuningResult


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended; all that is kept in memory of its outcome.

    Attributes:
        status: "completed", "diverged" or "failed".
        test: The problem's metric on the test set after the last epoch.
        valid: The same on validation data, `None` where none were held out.
    """

    status: str
    test: float | None = None
    valid: float | None = None

    @property
    def is_measured(self) -> bool:
        """Whether training completed with a finite value."""
        return self.status == "completed" and self.test is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """How well an optimizer did on a problem, at its best.

    Attributes:
        problem: Name of the problem.
        optimizer: Name of the optimizer in the experiment.
        schedule: Name of the schedule of the learning rate.
        metric: What settings are compared by, "accuracy" or "loss".
        chosen_on: The split on which the best setting was chosen, "valid" or "test".
        hyperparameters: Those of the best setting, `None` where no run completed.
        test: The metric on the test set for each of its seeds that completed.
        valid: The same on validation data.
        settings: How many settings were compared.
        runs: How many runs ended.
        diverged: How many of them diverged.
        failed: How many of them have no result.
        missing: How many were not carried out.
        has_seeds_of_the_choice: Whether seeds with which the best setting was chosen are among
            those of `test` and `valid`, which may have been lucky then.
    """

    problem: str
    optimizer: str
    schedule: str
    metric: str
    chosen_on: str
    hyperparameters: dict[str, Any] | None
    test: tuple[float, ...]
    valid: tuple[float, ...]
    settings: int
    runs: int
    diverged: int
    failed: int
    missing: int
    has_seeds_of_the_choice: bool


def end_of(outcome: Outcome) -> End:
    """What to keep of an outcome."""
    if isinstance(outcome, Failure):
        return End("failed")
    name = series_name(_metric_of(outcome.testproblem))
    return End(outcome.status, _final(outcome, f"test_{name}"), _final(outcome, f"valid_{name}"))


def standings(runs: Iterable[PlannedRun], ends: Mapping[str, End]) -> list[Standing]:
    """Find the best setting of every optimizer with every schedule on every problem.

    Args:
        runs: The runs of the experiment.
        ends: How they ended, by `run_id`; those that did not are left out.
    """
    groups: dict[tuple[str, str, str], list[RunSpecification]] = defaultdict(list)
    for run in runs:
        key = (run.specification.testproblem, run.optimizer, run.schedule)
        groups[key].append(run.specification)
    return [_standing(key, members, ends) for key, members in groups.items()]


def standing_of_tuning(planned: PlannedTuning, result: TuningResult) -> Standing:
    """How well a tuned optimizer did, in the runs of the report.

    Args:
        planned: What the experiment asks for.
        result: What came of it.
    """
    protocol = result.protocol
    runs = [*(run for trial in result.trials for run in trial.runs), *result.report]
    statuses = [run.status for run in {run.run_id: run for run in runs}.values()]
    best = result.best
    return Standing(
        problem=planned.problem,
        optimizer=planned.optimizer,
        schedule=planned.schedule,
        metric=protocol.metric,
        chosen_on=protocol.select_on,
        hyperparameters=None if best is None else {**result.hyperparameters, **best.setting},
        test=_reported(result, f"test_{protocol.metric}"),
        valid=_reported(result, f"valid_{protocol.metric}"),
        settings=len(result.trials),
        runs=len(statuses),
        diverged=statuses.count("diverged"),
        failed=statuses.count("failed"),
        missing=0,
        has_seeds_of_the_choice=len(result.trials) > 1
        and not set(protocol.seeds).isdisjoint(protocol.report_seeds),
    )


def _reported(result: TuningResult, metric: str) -> tuple[float, ...]:
    values = (run.metrics.get(metric) for run in result.report if run.status == "completed")
    return tuple(value for value in values if value is not None)


def _standing(
    key: tuple[str, str, str], runs: Sequence[RunSpecification], ends: Mapping[str, End]
) -> Standing:
    ended = [(run, ends[run.run_id]) for run in runs if run.run_id in ends]
    statuses = [end.status for _, end in ended]
    measured = [(run, end) for run, end in ended if end.is_measured]
    has_validation = bool(measured) and all(end.valid is not None for _, end in measured)
    chosen_on = "valid" if has_validation else "test"
    settings: dict[str, list[tuple[RunSpecification, End]]] = defaultdict(list)
    for run, end in measured:
        settings[repr(run.hyperparameters)].append((run, end))
    metric = _metric_of(key[0])
    num_settings = len({repr(run.hyperparameters) for run in runs})
    best = max(settings.values(), key=lambda those: _rank(those, metric, chosen_on), default=[])
    return Standing(
        *key,
        metric=metric,
        chosen_on=chosen_on,
        hyperparameters=best[0][0].hyperparameters if best else None,
        test=tuple(end.test for _, end in best if end.test is not None),
        valid=tuple(end.valid for _, end in best if end.valid is not None),
        settings=num_settings,
        runs=len(ended),
        diverged=statuses.count("diverged"),
        failed=statuses.count("failed"),
        missing=len(runs) - len(ended),
        has_seeds_of_the_choice=num_settings > 1 and bool(best),
    )


def _rank(
    those: Sequence[tuple[RunSpecification, End]], metric: str, split: str
) -> tuple[int, float]:
    """The more seeds complete the better; of those with as many, the better mean."""
    mean = statistics.fmean(getattr(end, split) for _, end in those)
    return len(those), mean if metric == "accuracy" else -mean


def _metric_of(problem: str) -> str:
    return registry().problems.spec(problem).metric


def _final(record: RunRecord, name: str) -> float | None:
    values: list[float | None] | None = getattr(record, name)
    return values[-1] if values else None
