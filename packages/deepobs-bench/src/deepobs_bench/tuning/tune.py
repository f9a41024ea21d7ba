"""Tuning an optimizer: suggest, run, choose, and run the winner again with other seeds."""

from __future__ import annotations

import dataclasses
import functools
from importlib import metadata
from typing import TYPE_CHECKING, Any

from deepobs.checks import in_json_types
from deepobs.errors import ArgumentError, DeepOBSError
from deepobs.records import RunRecord
from deepobs.run_specifications import DEFAULT_SEED
from deepobs.runs.environment import versions
from deepobs.runs.optimizers import find_optimizer
from deepobs_bench.tuning import result
from deepobs_bench.tuning.candidates import candidate, common_parts
from deepobs_bench.tuning.judging import Medians, judged_run, score, trial_of, winner_of
from deepobs_bench.tuning.protocol import complete, explanation
from deepobs_bench.tuning.result import TuningResult
from deepobs_bench.tuning.samplers import GridSearch, OptunaSearch
from deepobs_bench.tuning.searched_names import Base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import torch

    from deepobs.run_specifications import RunSpecification
    from deepobs_bench.failures import Outcome
    from deepobs_bench.sweep import Sweep
    from deepobs_bench.tuning.candidates import Candidate
    from deepobs_bench.tuning.judging import StopRule
    from deepobs_bench.tuning.protocol import TuningProtocol
    from deepobs_bench.tuning.result import Trial, TunedRun
    from deepobs_bench.tuning.samplers import Search
    from deepobs_bench.tuning.settings import TuningSettings

    Execute = Callable[[Sequence[RunSpecification], StopRule | None], dict[str, Outcome]]


class AllTrialsFailedError(DeepOBSError):
    """No trial of a tuning has a result."""


def tune(
    testproblem: str,
    optimizer: str | type[torch.optim.Optimizer],
    settings: TuningSettings,
    *,
    sweep: Sweep,
    hyperparameters: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    jobs: int = 1,
) -> TuningResult:
    """Find good hyperparameters, and measure how good they are with other seeds.

    Trials are ordinary runs, and suggestions depend only on the settings and the results: tuning
    again executes nothing and gives the same.

    Args:
        testproblem: Name of a test problem.
        optimizer: Name of an optimizer, `package.module:Class` or a class.
        settings: What to try, and how to choose.
        sweep: Executes the runs; the result is written into its directory.
        hyperparameters: Those that are not tuned.
        options: Arguments of `specify` that all runs share, such as `num_epochs`.
        jobs: How many runs are executed at a time: by default, a sampler that learns from results
            suggests as many trials at once.

    Raises:
        AllTrialsFailedError: No trial has a result.
        DeepOBSError: Settings do not fit the problem or the optimizer.
    """
    given = in_json_types("Hyperparameters", hyperparameters or {})
    base = Base(testproblem, optimizer, given, options or {})
    protocol = complete(settings, base, jobs=jobs)
    base = dataclasses.replace(base, options={**base.options, **protocol.run_options})
    execute = functools.partial(_outcomes, sweep)
    trials = _run_trials(protocol, base, execute)
    _require_results(trials)
    winner = winner_of(trials, protocol.metric)
    # The trials' values of the winner are biased, since they selected it: the report is not.
    report = [] if winner is None else _report(winner, base, protocol, execute)
    unseen = [run for run in report if run.seed not in protocol.seeds]
    has_mixed_seeds = bool(protocol.space) and 0 < len(unseen) < len(report)
    example = _example(trials, base)
    tuned = TuningResult(
        testproblem=example.testproblem,
        optimizer=example.optimizer,
        optimizer_target=example.optimizer_target,
        hyperparameters=given,
        training=common_parts(example, base, protocol.space),
        protocol=protocol,
        explanation=(),
        trials=tuple(trials),
        winner=None if winner is None else winner.number,
        report=tuple(report),
        versions=versions(
            {} if protocol.sampler == "grid" else {"optuna": metadata.version("optuna")}
        ),
        summary=result.summarized(report),
        summary_without_selection=result.summarized(unseen) if has_mixed_seeds else None,
    )
    distinct = tuned.distinct_configurations
    words = explanation(protocol, find_optimizer(optimizer).name, distinct=distinct)
    tuned = tuned.model_copy(update={"explanation": words})
    result.write(sweep.output_dir, tuned)
    return tuned


def _require_results(trials: Sequence[Trial]) -> None:
    statuses = {trial.status for trial in trials}
    # One that diverged is a result: the optimizer was tried, and found unstable.
    if statuses <= {"failed", "refused"}:
        first = next(trial for trial in trials if trial.status == "failed")
        command = next(run.command for run in first.runs if run.status == "failed")
        raise AllTrialsFailedError(
            f"None of the {len(trials)} trials has a result. The first failed with "
            f"{first.message.rstrip('.')}. To repeat it: {command}"
        )


def _run_trials(protocol: TuningProtocol, base: Base, execute: Execute) -> list[Trial]:
    search = _search(protocol)
    medians = Medians(protocol)
    trials: list[Trial] = []
    while len(trials) < protocol.trials:
        asked = search.ask(min(protocol.at_once, protocol.trials - len(trials)))
        candidates = [candidate(base, setting, protocol.seeds) for setting in asked]
        # Made before the batch starts: it must not depend on which of its runs end first.
        rule = medians.rule() if protocol.prune else None
        outcomes = execute([run for one in candidates for run in one.specifications], rule)
        ended = [
            trial_of(len(trials) + place, one, outcomes, protocol, rule)
            for place, one in enumerate(candidates)
        ]
        # In the order of suggestions, whichever run ended first: the next suggestions depend on
        # the order, and must be the same when runs are found done.
        search.tell([score(trial, protocol.metric) for trial in ended])
        medians.learn(_completed(ended, candidates, outcomes))
        trials += ended
    if not any(trial.runs for trial in trials):
        raise ArgumentError(trials[0].message)  # every trial says the same
    return trials


def _search(protocol: TuningProtocol) -> Search:
    if protocol.sampler == "grid":
        return GridSearch(protocol.space)
    return OptunaSearch(protocol.sampler, protocol.space, protocol.sampler_seed)


def _completed(
    trials: Iterable[Trial], candidates: Iterable[Candidate], outcomes: Mapping[str, Outcome]
) -> Iterator[RunRecord]:
    for trial, tried in zip(trials, candidates, strict=True):
        # A trial that was refused has no runs.
        for run, specification in zip(trial.runs, tried.specifications, strict=False):
            outcome = outcomes[specification.run_id]
            if run.status == "completed" and isinstance(outcome, RunRecord):
                yield outcome


def _outcomes(
    sweep: Sweep, specifications: Sequence[RunSpecification], rule: StopRule | None
) -> dict[str, Outcome]:
    """Execute pending runs, except those that the same rule has stopped before."""
    outcomes: dict[str, Outcome] = {}
    if rule is not None:
        stopped = {run.run_id: rule.has_stopped(sweep.output_dir, run) for run in specifications}
        outcomes = {run_id: failure for run_id, failure in stopped.items() if failure is not None}
    pending = [run for run in specifications if run.run_id not in outcomes]
    for run, outcome in sweep.execute(pending, observers=[] if rule is None else [rule]):
        outcomes[run.run_id] = outcome
    return outcomes


def _report(
    winner: Trial, base: Base, protocol: TuningProtocol, execute: Execute
) -> list[TunedRun]:
    again = candidate(base, winner.setting, protocol.report_seeds)
    outcomes = execute(again.specifications, None)
    return [judged_run(run, outcomes[run.run_id], protocol) for run in again.specifications]


def _example(trials: Sequence[Trial], base: Base) -> RunSpecification:
    """A run of the first trial that the optimizer accepted; there is one."""
    setting = next(trial.setting for trial in trials if trial.runs)
    return candidate(base, setting, [DEFAULT_SEED]).specifications[0]
