"""The results of an experiment: the best configuration of every optimizer on every problem."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deepobs import config
from deepobs.errors import DeepOBSError, OutputError
from deepobs.metrics import series_name
from deepobs.plugins import registry
from deepobs.representatives import best_configuration
from deepobs.resources import gc_paused
from deepobs_bench.experiment import row_name
from deepobs_bench.kept_results import Ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs.run_specifications import RunSpecification
    from deepobs_bench.failures import Failure
    from deepobs_bench.plan import Plan
    from deepobs_bench.result_index import ResultIndex
    from deepobs_bench.sweep import Sweep
    from deepobs_bench.tuning.planned import PlannedTuning
    from deepobs_bench.tuning.result import TuningResult


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended: all that is kept in memory of its outcome."""

    status: str
    test: float | None = None
    valid: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The best configuration of an optimizer on a problem, and how well it did.

    Attributes:
        problem: Name of the problem.
        optimizer: Name of the optimizer in the experiment.
        schedule: Name of the learning-rate schedule.
        metric: What configurations are compared by, "accuracy" or "loss".
        chosen_on: The split on which the best one was selected, "valid" or "test".
        hyperparameters: Those of the best configuration, `None` if no run completed.
        test: The metric on the test set for each of its seeds that completed.
        valid: The same on validation data.
        seeds: How many of its seeds ended, those that diverged or failed included.
        configurations: How many configurations were compared.
        runs: How many runs ended.
        diverged: How many of them diverged.
        failed: How many of them have no result.
        pending: How many were not executed.
        is_synthetic: Whether its runs used synthetic data.
        has_seeds_of_the_choice: Whether seeds that selected the best configuration are
            among those of `test` and `valid`, which may have been lucky then.
    """

    problem: str
    optimizer: str
    schedule: str
    metric: str
    chosen_on: str
    hyperparameters: dict[str, Any] | None
    test: tuple[float, ...]
    valid: tuple[float, ...]
    seeds: int
    configurations: int
    runs: int
    diverged: int
    failed: int
    pending: int
    is_synthetic: bool
    has_seeds_of_the_choice: bool


@dataclass
class Results:
    """The results of a plan.

    Attributes:
        ends: How its runs ended, by `run_id`.
        failures: Why some of them have no result.
        tuned: The tunings that were completed.
        errors: Why others were not, by what was to be tuned.
        is_out_of_time: Whether runs are pending since the time was up.
    """

    ends: dict[str, End] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    tuned: list[tuple[PlannedTuning, TuningResult]] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    is_out_of_time: bool = False

    def standings(self, plan: Plan) -> list[Standing]:
        """The best configuration of every optimizer with every schedule on every problem."""
        groups: dict[tuple[str, str, str], list[RunSpecification]] = defaultdict(list)
        for run in plan.runs:
            key = (run.specification.testproblem, run.optimizer, run.schedule)
            groups[key].append(run.specification)
        of_runs = [_standing(*key, members, self.ends) for key, members in groups.items()]
        return of_runs + [standing_of_tuning(planned, result) for planned, result in self.tuned]


def execute(plan: Plan, sweep: Sweep, *, jobs: int, index: ResultIndex | None = None) -> Results:
    """Execute what is pending of a plan: its runs, then its tunings.

    Args:
        plan: The plan.
        sweep: What executes its runs.
        jobs: How many runs are executed at a time.
        index: What is known of the results in the directory of the sweep; `None` to look for them.

    Raises:
        OutputError: Results cannot be written.
        ExecutorError: The executor failed. Results so far are kept.
    """
    # Imported here, as they import torch: what is shown of finished runs does without it.
    from deepobs_bench.failures import Failure
    from deepobs_bench.result_index import ResultIndex
    from deepobs_bench.sweep import BudgetSpentError

    results = Results()
    index = index or ResultIndex.with_kept(sweep.output_dir)
    pending = _without_finished(plan.specifications, index, results)
    # Of each outcome only its end is kept: the records of a large sweep do not fit into memory.
    try:
        for specification, outcome in sweep.execute(pending):
            end = End("failed")
            if isinstance(outcome, Failure):
                results.failures.append(outcome)
            else:
                end = _end_of(specification, Ending.of(outcome))
            results.ends[specification.run_id] = end
        for tuning in plan.tunings:
            _tune(tuning, sweep, jobs, results)
    except BudgetSpentError:
        results.is_out_of_time = True
    if pending:
        index.look_again()
    return results


def _without_finished(
    specifications: Iterable[RunSpecification], index: ResultIndex, results: Results
) -> list[RunSpecification]:
    """Note how finished runs ended, without reading again what is known; the others."""
    others = []
    with gc_paused():  # of tens of thousands of objects, none is garbage
        for specification in specifications:
            ending = index.ending_of(specification)
            if ending is None:
                others.append(specification)
            else:
                results.ends[specification.run_id] = _end_of(specification, ending)
    index.write()
    return others


def _end_of(specification: RunSpecification, ending: Ending) -> End:
    metric = registry().problems.offer(specification.testproblem).spec.metric
    test, valid = (ending.last.get(series_name(f"{split}_{metric}")) for split in ("test", "valid"))
    return End(ending.status, test, valid)


def _tune(planned: PlannedTuning, sweep: Sweep, jobs: int, results: Results) -> None:
    # Imported here: most experiments tune nothing.
    from deepobs_bench.failures import ExecutorError
    from deepobs_bench.sweep import BudgetSpentError
    from deepobs_bench.tuning.tune import tune

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
    except DeepOBSError as error:  # the other tunings can continue
        name = row_name(planned.optimizer, planned.schedule)
        results.errors[f"{name} on {planned.problem}"] = str(error)
    else:
        results.tuned.append((planned, tuned))


def standing_of_tuning(planned: PlannedTuning, result: TuningResult) -> Standing:
    """How well a tuned optimizer did in the runs of the report."""
    protocol = result.protocol
    runs = [*(run for trial in result.trials for run in trial.runs), *result.report]
    # By identity: a run of the report can be one of a trial, with the same seed.
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
        seeds=len(result.report),
        configurations=len(result.trials),
        runs=len(statuses),
        diverged=statuses.count("diverged"),
        failed=statuses.count("failed"),
        pending=0,
        is_synthetic=any(run.fake_data_fraction for run in planned.examples)
        or bool(planned.config.get("fake_data")),
        has_seeds_of_the_choice=len(result.trials) > 1
        and not set(protocol.seeds).isdisjoint(protocol.report_seeds),
    )


def _reported(result: TuningResult, metric: str) -> tuple[float, ...]:
    values = (run.metrics.get(metric) for run in result.report if run.status == "completed")
    return tuple(value for value in values if value is not None)


def _standing(
    problem: str,
    optimizer: str,
    schedule: str,
    runs: Sequence[RunSpecification],
    ends: Mapping[str, End],
) -> Standing:
    names = [repr(run.hyperparameters) for run in runs]
    named = zip(names, runs, strict=True)
    ended = [(name, run, ends[run.run_id]) for name, run in named if run.run_id in ends]
    statuses = [end.status for *_, end in ended]
    measured = [end for *_, end in ended if end.test is not None]
    has_validation = bool(measured) and all(end.valid is not None for end in measured)
    chosen_on = "valid" if has_validation else "test"
    metric = registry().problems.offer(problem).spec.metric
    configurations = len(set(names))
    chosen = best_configuration(
        (
            (name, getattr(end, chosen_on), end.status == "completed")
            for name, _, end in ended
            if end.test is not None
        ),
        higher_is_better=metric == "accuracy",
    )
    best = [
        (run, end)
        for name, run, end in ended
        if name == chosen and end.test is not None and end.status == "completed"
    ]
    return Standing(
        problem=problem,
        optimizer=optimizer,
        schedule=schedule,
        metric=metric,
        chosen_on=chosen_on,
        hyperparameters=best[0][0].hyperparameters if best else None,
        test=tuple(end.test for _, end in best if end.test is not None),
        valid=tuple(end.valid for _, end in best if end.valid is not None),
        seeds=sum(name == chosen for name, *_ in ended),
        configurations=configurations,
        runs=len(ended),
        diverged=statuses.count("diverged"),
        failed=statuses.count("failed"),
        pending=len(runs) - len(ended),
        is_synthetic=any(run.fake_data_fraction for run in runs),
        has_seeds_of_the_choice=configurations > 1 and bool(best),
    )
