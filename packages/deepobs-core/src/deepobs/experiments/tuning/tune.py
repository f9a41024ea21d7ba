"""Tuning an optimizer: suggest, run, choose, and run the winner again with further seeds."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError
from deepobs.experiments.outcomes import Failure
from deepobs.experiments.tuning import result, selection
from deepobs.experiments.tuning.candidates import (
    PROBLEM_OPTIONS,
    Base,
    candidate,
    require_space,
)
from deepobs.experiments.tuning.protocol import complete
from deepobs.experiments.tuning.result import Trial, TunedRun, TuningResult
from deepobs.experiments.tuning.samplers import GridSearch, OptunaSearch
from deepobs.experiments.tuning.words import explanation
from deepobs.plugins import registry
from deepobs.runs.environment import versions
from deepobs.runs.optimizers import find_optimizer
from deepobs.runs.specification import DEFAULT_SEED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch

    from deepobs.experiments.outcomes import Outcome
    from deepobs.experiments.sweep import Sweep
    from deepobs.experiments.tuning.candidates import Candidate
    from deepobs.experiments.tuning.protocol import TuningProtocol
    from deepobs.experiments.tuning.samplers import Search
    from deepobs.experiments.tuning.settings import TuningSettings
    from deepobs.runs import RunRecord, RunSpecification

_METRICS = {
    f"{split}_{metric}": f"{split}_{name}"
    for split in ("train", "valid", "test")
    for metric, name in (("loss", "losses"), ("accuracy", "accuracies"))
}
_NOT_COMMON = {"hyperparameters", "random_seed", "device", "train_log_interval"}


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
    """Find good hyperparameters, and measure how good they are with seeds of their own.

    Trials are ordinary runs, and suggestions depend on nothing but the settings and the results:
    to tune again runs nothing and gives the same.

    Args:
        testproblem: Name of a test problem.
        optimizer: Name of an optimizer, `package.module:Class` or a class.
        settings: What to try, and how to choose.
        sweep: Carries out the runs; the result is written where it keeps theirs.
        hyperparameters: Those that are not tuned.
        options: Arguments of `specify` that all runs have, such as `num_epochs`.
        jobs: How many runs are carried out at the same time: as many trials a sampler that learns
            from results suggests at once, where the settings say nothing else.

    Raises:
        DeepOBSError: Settings do not fit the problem or the optimizer, or no trial could be run.
    """
    problem = registry().problems.spec(testproblem)
    name = find_optimizer(optimizer).name
    protocol = complete(settings, problem, name, options=options or {}, jobs=jobs)
    common = {**(options or {}), "validation_size": protocol.validation_size}
    base = Base(testproblem, optimizer, hyperparameters or {}, common)
    require_space(base, protocol.space)
    trials = _carry_out_trials(protocol, base, sweep)
    winner = selection.winner_of(trials, protocol.metric)
    report = [] if winner is None else _report(winner, base, protocol, sweep)
    unseen = [run for run in report if run.seed not in protocol.seeds]
    has_mixed_seeds = bool(protocol.space) and 0 < len(unseen) < len(report)
    example = _example(trials, base)
    tuned = TuningResult(
        testproblem=example.testproblem,
        optimizer=example.optimizer,
        optimizer_target=example.optimizer_target,
        hyperparameters=dict(base.hyperparameters),
        training=_common_parts(example, protocol),
        protocol=protocol,
        explanation=explanation(protocol, name),
        trials=tuple(trials),
        winner=None if winner is None else winner.number,
        report=tuple(report),
        versions=versions({"optuna"} if protocol.sampler != "grid" else set()),
        summary=result.summarized(report),
        summary_without_selection=result.summarized(unseen) if has_mixed_seeds else None,
    )
    result.write(sweep.output_dir, tuned)
    return tuned


def _carry_out_trials(protocol: TuningProtocol, base: Base, sweep: Sweep) -> list[Trial]:
    search = _search(protocol)
    trials: list[Trial] = []
    while len(trials) < protocol.trials:
        asked = search.ask(min(protocol.at_once, protocol.trials - len(trials)))
        candidates = [candidate(base, setting, protocol.seeds) for setting in asked]
        if not trials and all(one.refusal for one in candidates):
            # A name is wrong, or the whole space is.
            raise ArgumentError(candidates[0].refusal)
        outcomes = _outcomes(sweep, [run for one in candidates for run in one.specifications])
        ended = [
            _trial(len(trials) + place, one, outcomes, protocol)
            for place, one in enumerate(candidates)
        ]
        # In the order of suggestions, whichever run ended first: the next ones depend on it.
        search.tell([selection.score(trial, protocol.metric) for trial in ended])
        trials += ended
    return trials


def _search(protocol: TuningProtocol) -> Search:
    if protocol.sampler == "grid":
        return GridSearch(protocol.space)
    return OptunaSearch(protocol.sampler, protocol.space, protocol.sampler_seed)


def _outcomes(sweep: Sweep, specifications: Iterable[RunSpecification]) -> dict[str, Outcome]:
    return {run.run_id: outcome for run, outcome in sweep.carry_out(specifications)}


def _trial(
    number: int, one: Candidate, outcomes: Mapping[str, Outcome], protocol: TuningProtocol
) -> Trial:
    if one.refusal:
        return Trial(number=number, setting=one.setting, status="refused", message=one.refusal)
    runs = tuple(_tuned_run(run, outcomes[run.run_id], protocol) for run in one.specifications)
    others = [run for run in runs if run.status != "completed"]
    return Trial(
        number=number,
        setting=one.setting,
        status=others[0].status if others else "completed",
        value=selection.mean_of([run.value for run in runs]),
        runs=runs,
        message=others[0].message if others else "",
    )


def _tuned_run(run: RunSpecification, outcome: Outcome, protocol: TuningProtocol) -> TunedRun:
    tuned = functools.partial(
        TunedRun, seed=run.random_seed, run_id=run.run_id, command=run.command
    )
    if isinstance(outcome, Failure):
        return tuned(status="failed", message=f"{outcome.kind}: {outcome.message}")
    value = selection.measured(outcome, protocol)
    if value is None:
        return tuned(status="diverged")
    return tuned(status="completed", value=value, metrics=_final_metrics(outcome))


def _final_metrics(record: RunRecord) -> dict[str, float | None]:
    lists = {metric: getattr(record, name) for metric, name in _METRICS.items()}
    return {metric: values[-1] for metric, values in lists.items() if values is not None}


def _report(winner: Trial, base: Base, protocol: TuningProtocol, sweep: Sweep) -> list[TunedRun]:
    again = candidate(base, winner.setting, protocol.report_seeds)
    outcomes = _outcomes(sweep, again.specifications)
    return [_tuned_run(run, outcomes[run.run_id], protocol) for run in again.specifications]


def _example(trials: Sequence[Trial], base: Base) -> RunSpecification:
    """A run of the first trial that was carried out: there is one."""
    setting = next(trial.setting for trial in trials if trial.runs)
    return candidate(base, setting, [DEFAULT_SEED]).specifications[0]


def _common_parts(example: RunSpecification, protocol: TuningProtocol) -> dict[str, Any]:
    """What the runs of all trials have in common."""
    tuned = {theirs for name, theirs in PROBLEM_OPTIONS.items() if name in protocol.space}
    return example.model_dump(mode="json", exclude=_NOT_COMMON | tuned, exclude_defaults=True)
