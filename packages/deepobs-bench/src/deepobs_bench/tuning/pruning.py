"""Stopping runs that fall behind: by the median of the runs before, as in Optuna's median pruner.

Optuna's own pruners ask a database that all workers share, and decide by what happens to be in it
at that moment. Here a run is sent a limit for every epoch, made of the trials of earlier batches
alone: nothing is shared, any executor will do, and to tune again stops the same runs.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepobs.runs import RunObserver
from deepobs_bench.outcomes import Failure, RunStoppedError, find_failure
from deepobs_bench.tuning import selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from deepobs.records import RunRecord, RunSpecification
    from deepobs_bench.tuning.protocol import TuningProtocol

_RUNS_BEFORE = 5
"""Runs that have to be complete before another is stopped, as many as Optuna waits for."""


@dataclass
class StopRule(RunObserver):
    """Ends a run whose best value so far is worse than a limit.

    Attributes:
        metric: What is measured, such as `valid_loss`.
        sign: 1 where it is to be small, -1 where it is to be large.
        limits: For each epoch the worst permitted value, times the sign.
    """

    metric: str
    sign: int
    limits: tuple[float, ...]
    _best: float = math.inf

    @property
    def rule_id(self) -> str:
        """A hash of the rule: another one may stop other runs."""
        return hashlib.sha256(repr((self.metric, self.limits)).encode()).hexdigest()[:8]

    def run_started(self, specification: RunSpecification, steps_per_epoch: int) -> None:
        """Begin anew."""
        del specification, steps_per_epoch
        self._best = math.inf

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Compare, but neither before training nor when the run is over anyway.

        Raises:
            RunStoppedError: The run has fallen behind.
        """
        self._best = min(self._best, self.sign * metrics[self.metric])
        if 0 < epoch < len(self.limits) - 1 and self._best > self.limits[epoch]:
            raise RunStoppedError("pruned", self._message(epoch))

    def has_stopped(self, output_dir: Path, specification: RunSpecification) -> Failure | None:
        """What is recorded of a run that this very rule has stopped before."""
        failure = find_failure(output_dir, specification)
        is_ours = failure is not None and f"rule {self.rule_id})" in failure.message
        return failure if is_ours else None

    def would_stop(self, values: Sequence[float | None]) -> str:
        """Why a complete run would have been stopped, empty where it would not.

        Args:
            values: The metric before the first and after every epoch.
        """
        self._best = math.inf
        try:
            for epoch, value in enumerate(values):
                self.epoch_ended(epoch, {self.metric: math.nan if value is None else value})
        except RunStoppedError as error:
            return str(error)
        return ""

    def _message(self, epoch: int) -> str:
        return (
            f"Stopped after epoch {epoch}: the best {self.metric} so far, "
            f"{self.sign * self._best:.6g}, is worse than {self.sign * self.limits[epoch]:.6g}, "
            f"the median of the runs before (rule {self.rule_id})"
        )


class Medians:
    """Remembers how runs went, and makes the rule for the next ones.

    Args:
        protocol: Which metric and split count.
    """

    def __init__(self, protocol: TuningProtocol) -> None:
        self._protocol = protocol
        self._sign = -1 if protocol.metric == "accuracy" else 1
        self._curves: list[list[float]] = []

    def learn(self, records: Iterable[RunRecord]) -> None:
        """Take runs into account.

        Args:
            records: Runs that completed; one that diverged says nothing about others.
        """
        for record in records:
            values = selection.values_of(record, self._protocol)
            self._curves.append([math.inf if v is None else self._sign * v for v in values])

    def rule(self) -> StopRule | None:
        """The rule for the next runs, `None` as long as too few are known."""
        if len(self._curves) < _RUNS_BEFORE:
            return None
        limits = [statistics.median(column) for column in zip(*self._curves, strict=True)]
        metric = f"{self._protocol.select_on}_{self._protocol.metric}"
        return StopRule(metric, self._sign, tuple(limits))
