"""Choosing the best trial."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from deepobs.errors import ArgumentError
from deepobs.records import series_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepobs.records import RunRecord
    from deepobs_bench.tuning.protocol import TuningProtocol
    from deepobs_bench.tuning.result import Trial


def measured(record: RunRecord, protocol: TuningProtocol) -> float | None:
    """What counts of a run: its loss or accuracy on the split on which trials are compared.

    Args:
        record: The run.
        protocol: Which metric, split and epoch count.

    Returns:
        The value; `None` for a run that diverged, or ended with a value that is not finite.

    Raises:
        ArgumentError: The problem has no such metric.
    """
    values = values_of(record, protocol)
    if record.status != "completed":
        return None
    if protocol.epoch == "final":
        return values[-1]
    finite = [value for value in values if value is not None]
    return (max if protocol.metric == "accuracy" else min)(finite) if finite else None


def values_of(record: RunRecord, protocol: TuningProtocol) -> list[float | None]:
    """The metric by which trials are compared, before the first and after every epoch of a run.

    Args:
        record: The run.
        protocol: Which metric and split count.

    Raises:
        ArgumentError: The problem has no such metric.
    """
    name = series_name(f"{protocol.select_on}_{protocol.metric}")
    values: list[float | None] | None = getattr(record, name)
    if values is None:
        raise ArgumentError(
            f"{record.testproblem} has no {name}. Choose by another metric: "
            f"{'loss' if protocol.metric == 'accuracy' else 'accuracy'}."
        )
    return values


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean over the seeds of a trial, `None` where one of its runs has no value."""
    finite = [value for value in values if value is not None]
    return statistics.fmean(finite) if finite and len(finite) == len(values) else None


def score(trial: Trial, metric: str) -> float | None:
    """What a sampler is told: small is good, infinite is bad, `None` is nothing at all.

    Args:
        trial: A trial whose runs have ended.
        metric: "accuracy" or "loss".
    """
    if trial.value is not None:
        return -trial.value if metric == "accuracy" else trial.value
    return math.inf if trial.status in ("diverged", "pruned") else None


def winner_of(trials: Sequence[Trial], metric: str) -> Trial | None:
    """The best trial: of equal ones the first, and `None` where none has a value.

    Args:
        trials: In the order in which they were suggested.
        metric: "accuracy" or "loss".
    """
    ranked = ranking(trials, metric)
    return ranked[0] if ranked and ranked[0].value is not None else None


def ranking(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """The trials from the best to the worst, those without a value last.

    Args:
        trials: In the order in which they were suggested, in which equal ones stay.
        metric: "accuracy" or "loss".
    """

    def place(trial: Trial) -> float:
        known = score(trial, metric) if trial.value is not None else None
        return math.inf if known is None else known

    return sorted(trials, key=place)
