"""The settings that were tried of an optimizer on a problem, and how each of them did."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs_analysis.measures import best, final, mean_and_deviation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.results import Metric, Results
    from deepobs_analysis.selection import Mode


@dataclass(frozen=True)
class Attempt:
    """A setting that was tried.

    Attributes:
        setting: What it is.
        hyperparameters: Its hyperparameters.
        seeds: Its seeds.
        performances: Test performance of each seed, by the metric of the problem; that before
            training where it diverged.
        has_diverged: Whether any of its seeds did.
    """

    setting: str
    hyperparameters: Mapping[str, Any]
    seeds: tuple[int, ...]
    performances: Floats
    has_diverged: bool

    @property
    def mean(self) -> float:
        """The mean over its seeds."""
        return mean_and_deviation(self.performances).mean

    @property
    def deviation(self) -> float:
        """The population standard deviation over its seeds."""
        return mean_and_deviation(self.performances).deviation

    def merit(self, metric: Metric) -> tuple[bool, float]:
        """Larger for the better one of two attempts: those that diverged are the worst."""
        return not self.has_diverged, self.mean if metric.higher_is_better else -self.mean

    def number(self, name: str) -> float | None:
        """A hyperparameter that is a finite number, else `None`."""
        value = self.hyperparameters.get(name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def attempts(
    results: Results, problem: str, optimizer: str, *, mode: Mode = "final"
) -> list[Attempt]:
    """All settings of an optimizer on a problem in which the test set was measured.

    Args:
        results: The runs.
        problem: Name of the problem.
        optimizer: Name of the optimizer.
        mode: "best" for the best epoch of each run; the last epoch otherwise.
    """
    metric = results.metric(problem)
    runs = results.runs
    chosen = runs[(runs["problem"] == problem) & (runs["optimizer"] == optimizer)]
    measured = chosen[chosen[metric.curve("test")].notna()]
    return [
        _attempt(str(setting), of_setting, metric, mode)
        for setting, of_setting in measured.groupby("setting", sort=True)
    ]


def best_at(
    tried: Iterable[Attempt], names: Sequence[str], metric: Metric
) -> dict[tuple[float, ...], Attempt]:
    """The best attempt with each combination of values of some hyperparameters, sorted.

    Args:
        tried: The attempts.
        names: The hyperparameters. Attempts in which one of them is no number are left out.
        metric: What they are compared by.
    """
    best: dict[tuple[float, ...], Attempt] = {}
    for each in tried:
        values = [each.number(name) for name in names]
        point = tuple(value for value in values if value is not None)
        if len(point) == len(values):
            rival = best.get(point)
            if rival is None or each.merit(metric) > rival.merit(metric):
                best[point] = each
    return dict(sorted(best.items()))


def _attempt(setting: str, runs: pd.DataFrame, metric: Metric, mode: Mode) -> Attempt:
    pairs = zip(runs[metric.curve("test")], runs["has_diverged"], strict=True)
    return Attempt(
        setting=setting,
        hyperparameters=runs["hyperparameters"].iloc[0],
        seeds=tuple(map(int, runs["seed"])),
        performances=np.array([_value(curve, lost, metric, mode) for curve, lost in pairs]),
        has_diverged=bool(runs["has_diverged"].any()),
    )


def _value(curve: Floats, has_diverged: bool, metric: Metric, mode: Mode) -> float:
    if has_diverged:
        return float(curve[0])
    if mode == "best":
        return best(curve, higher_is_better=metric.higher_is_better)
    return final(curve)
