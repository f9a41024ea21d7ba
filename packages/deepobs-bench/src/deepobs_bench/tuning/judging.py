"""Comparing trials: the value of a run, the ranking of trials, and stopping runs that fall behind.

Optuna's own pruners ask a database that all workers share, and decide by what it holds at that
moment. Here a run is sent a limit for every epoch, computed from earlier batches of trials alone:
nothing is shared, any executor will do, and tuning again stops the same runs.
"""

from __future__ import annotations

import functools
import hashlib
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepobs.errors import ArgumentError
from deepobs.metrics import METRICS, series_name
from deepobs.runs import RunObserver, reproduction_command
from deepobs_bench.failures import Failure, RunStoppedError, find_failure
from deepobs_bench.tuning.result import Trial, TunedRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification
    from deepobs_bench.failures import Outcome
    from deepobs_bench.tuning.candidates import Candidate
    from deepobs_bench.tuning.protocol import TuningProtocol

_RUNS_BEFORE = 5
"""Runs that have to complete before another is stopped, as many as in Optuna."""


@dataclass
class StopRule(RunObserver):
    """Stops a run whose best value so far is worse than a limit."""

    metric: str
    sign: int
    limits: tuple[float, ...]
    _best: float = math.inf

    @property
    def rule_id(self) -> str:
        """A hash of the rule: another rule may stop other runs."""
        return hashlib.sha256(repr((self.metric, self.limits)).encode()).hexdigest()[:8]

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        """Reset the best value."""
        del specification, steps_per_epoch, resumed_at
        self._best = math.inf

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Compare, but neither before training nor after the last epoch.

        Raises:
            RunStoppedError: The run has fallen behind.
        """
        # In this order: `min` returns its first argument when the second is NaN.
        self._best = min(self._best, self.sign * metrics[self.metric])
        # After the last epoch there is no time left to save, and a result to lose.
        if 0 < epoch < len(self.limits) - 1 and self._best > self.limits[epoch]:
            raise RunStoppedError(
                "pruned",
                f"Stopped after epoch {epoch}: the best {self.metric} so far, "
                f"{self.sign * self._best:.6g}, is worse than {self.sign * self.limits[epoch]:.6g},"
                f" the median of the runs before (rule {self.rule_id})",
            )

    def has_stopped(self, output_dir: Path, specification: RunSpecification) -> Failure | None:
        """Find the failure of a run that this very rule stopped before."""
        failure = find_failure(output_dir, specification)
        is_ours = failure is not None and f"rule {self.rule_id})" in failure.message
        return failure if is_ours else None

    def would_stop(self, values: Sequence[float | None]) -> str:
        """Why a complete run would have been stopped, by its values; empty if it would not."""
        self._best = math.inf
        try:
            for epoch, value in enumerate(values):
                self.epoch_ended(epoch, {self.metric: math.nan if value is None else value})
        except RunStoppedError as error:
            return str(error)
        return ""


class Medians:
    """Remembers the curves of completed runs, and makes the rule for the next ones."""

    def __init__(self, protocol: TuningProtocol) -> None:
        self._protocol = protocol
        self._sign = -1 if protocol.metric == "accuracy" else 1
        self._curves: list[list[float]] = []

    def learn(self, records: Iterable[RunRecord]) -> None:
        """Take completed runs into account; one that diverged says nothing about others."""
        for record in records:
            values = values_of(record, self._protocol)
            # Records hold `None` where a value was not finite.
            self._curves.append([math.inf if v is None else self._sign * v for v in values])

    def rule(self) -> StopRule | None:
        """The rule for the next runs, `None` while too few are known."""
        if len(self._curves) < _RUNS_BEFORE:
            return None
        limits = [statistics.median(column) for column in zip(*self._curves, strict=True)]
        metric = f"{self._protocol.select_on}_{self._protocol.metric}"
        return StopRule(metric, self._sign, tuple(limits))


def trial_of(
    number: int,
    suggested: Candidate,
    outcomes: Mapping[str, Outcome],
    protocol: TuningProtocol,
    rule: StopRule | None = None,
) -> Trial:
    """Judge a trial by the outcomes of its runs, by `run_id`."""
    judged = functools.partial(Trial, number=number, setting=suggested.setting)
    if suggested.refusal:
        return judged(status="refused", message=suggested.refusal)
    runs = tuple(
        judged_run(run, outcomes[run.run_id], protocol, rule) for run in suggested.specifications
    )
    others = [run for run in runs if run.status != "completed"]
    values = [run.value for run in runs if run.value is not None]
    return judged(
        status=others[0].status if others else "completed",
        value=statistics.fmean(values) if values and len(values) == len(runs) else None,
        runs=runs,
        message=others[0].message if others else "",
    )


def judged_run(
    run: RunSpecification,
    outcome: Outcome,
    protocol: TuningProtocol,
    rule: StopRule | None = None,
) -> TunedRun:
    """Judge a run."""
    judged = functools.partial(
        TunedRun,
        seed=run.random_seed,
        # A result of an earlier release has the identity that it had then.
        run_id=run.run_id if isinstance(outcome, Failure) else outcome.run_id,
        command=reproduction_command(run),
    )
    if isinstance(outcome, Failure):
        if outcome.kind == "pruned":
            return judged(status="pruned", message=outcome.message)
        return judged(status="failed", message=f"{outcome.kind}: {outcome.message}")
    value = _value(outcome, protocol)
    if value is None:
        return judged(status="diverged")
    # The run may be complete from before, without pruning. It must count as stopped then, or the
    # choice would depend on what happens to be in the directory of results.
    reason = rule.would_stop(values_of(outcome, protocol)) if rule else ""
    if reason:
        return judged(status="pruned", message=reason)
    return judged(status="completed", value=value, metrics=_final_metrics(outcome))


def _final_metrics(record: RunRecord) -> dict[str, float | None]:
    series = {metric: getattr(record, series_name(metric)) for metric in METRICS}
    return {metric: values[-1] for metric, values in series.items() if values is not None}


def _value(record: RunRecord, protocol: TuningProtocol) -> float | None:
    """What counts of a run; `None` if it diverged, or ended with a value that is not finite."""
    values = values_of(record, protocol)
    if record.status != "completed":
        return None
    if protocol.epoch == "final":
        return values[-1]
    finite = [value for value in values if value is not None]
    return (max if protocol.metric == "accuracy" else min)(finite) if finite else None


def values_of(record: RunRecord, protocol: TuningProtocol) -> list[float | None]:
    """The metric by which trials are compared, before the first and after every epoch."""
    name = series_name(f"{protocol.select_on}_{protocol.metric}")
    values: list[float | None] | None = getattr(record, name)
    if values is None:
        raise ArgumentError(
            f"{record.testproblem} has no {name}. Choose by another metric: "
            f"{'loss' if protocol.metric == 'accuracy' else 'accuracy'}."
        )
    return values


def score(trial: Trial, metric: str) -> float | None:
    """The result of a trial for a sampler.

    Args:
        trial: A trial whose runs have ended.
        metric: "accuracy" or "loss".

    Returns:
        A value to minimize; infinity for a bad trial, `None` if nothing is known about it.
    """
    if trial.value is not None:
        return -trial.value if metric == "accuracy" else trial.value
    return math.inf if trial.status in ("diverged", "pruned") else None


def ranking(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """Sort trials from the best to the worst, those without a value last."""

    def place(trial: Trial) -> float:
        known = score(trial, metric) if trial.value is not None else None
        return math.inf if known is None else known

    # `sorted` is stable: of equal trials, the first suggestion wins, on every machine.
    return sorted(trials, key=place)


def winner_of(trials: Sequence[Trial], metric: str) -> Trial | None:
    """The best trial, the first of equal ones; `None` if no trial has a value."""
    ranked = ranking(trials, metric)
    return ranked[0] if ranked and ranked[0].value is not None else None
