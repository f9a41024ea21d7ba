"""What became of the runs of a trial, in the terms by which trials are compared."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from deepobs.records import METRICS, series_name
from deepobs.runs import reproduction_command
from deepobs_bench.outcomes import Failure
from deepobs_bench.tuning import selection
from deepobs_bench.tuning.result import Trial, TunedRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs.records import RunRecord, RunSpecification
    from deepobs_bench.outcomes import Outcome
    from deepobs_bench.tuning.candidates import Candidate
    from deepobs_bench.tuning.protocol import TuningProtocol
    from deepobs_bench.tuning.pruning import StopRule


def trial_of(
    number: int,
    suggested: Candidate,
    outcomes: Mapping[str, Outcome],
    protocol: TuningProtocol,
    rule: StopRule | None = None,
) -> Trial:
    """Judge a trial by its runs.

    Args:
        number: Its place in the order of suggestions.
        suggested: What was suggested.
        outcomes: What became of the runs, by the hashes of their specifications.
        protocol: How trials are compared.
        rule: What stopped runs that fell behind.
    """
    judged = functools.partial(Trial, number=number, setting=suggested.setting)
    if suggested.refusal:
        return judged(status="refused", message=suggested.refusal)
    runs = tuple(
        judged_run(run, outcomes[run.run_id], protocol, rule) for run in suggested.specifications
    )
    others = [run for run in runs if run.status != "completed"]
    return judged(
        status=others[0].status if others else "completed",
        value=selection.mean_of([run.value for run in runs]),
        runs=runs,
        message=others[0].message if others else "",
    )


def judged_run(
    run: RunSpecification,
    outcome: Outcome,
    protocol: TuningProtocol,
    rule: StopRule | None = None,
) -> TunedRun:
    """Judge a run.

    Args:
        run: The run.
        outcome: What became of it.
        protocol: How trials are compared.
        rule: What stops runs that fall behind. A run that is complete, since somebody else had
            carried it out before, counts as stopped where it would have been.
    """
    judged = functools.partial(
        TunedRun, seed=run.random_seed, run_id=run.run_id, command=reproduction_command(run)
    )
    if isinstance(outcome, Failure):
        if outcome.kind == "pruned":
            return judged(status="pruned", message=outcome.message)
        return judged(status="failed", message=f"{outcome.kind}: {outcome.message}")
    value = selection.measured(outcome, protocol)
    if value is None:
        return judged(status="diverged")
    reason = rule.would_stop(selection.values_of(outcome, protocol)) if rule else ""
    if reason:
        return judged(status="pruned", message=reason)
    return judged(status="completed", value=value, metrics=_final_metrics(outcome))


def _final_metrics(record: RunRecord) -> dict[str, float | None]:
    lists = {metric: getattr(record, series_name(metric)) for metric in METRICS}
    return {metric: values[-1] for metric, values in lists.items() if values is not None}
