"""How long the runs of a setting take to reach a target, in whatever unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from deepobs_analysis.measures import epochs_to_target, mean_time, seconds_to_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from deepobs_analysis.measures import MeanTime
    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.selection import Selection
    from deepobs_analysis.targets import Target

Unit: TypeAlias = Literal["epochs", "steps", "gradient evaluations", "seconds"]
UNITS: tuple[Unit, ...] = get_args(Unit)


def times_to_target(selection: Selection, target: float, unit: Unit = "epochs") -> Floats:
    """How long each seed of a setting takes to reach a target on the test set.

    Args:
        selection: The setting.
        target: In the unit of its metric.
        unit: One of `UNITS`. Seconds are those of training, without evaluation.

    Returns:
        Shape (seeds,): infinite where the target is not reached, NaN where the unit was not
        recorded.
    """
    curve = selection.metric.curve("test")
    runs = (run for _, run in selection.runs.iterrows())
    return np.array([_time(run, run[curve], selection, target, unit) for run in runs])


def mean_time_to_target(
    selection: Selection, target: float, unit: Unit = "epochs"
) -> MeanTime | None:
    """The mean over the seeds that reach a target, and how many do.

    Args:
        selection: The setting.
        target: In the unit of its metric.
        unit: One of `UNITS`.

    Returns:
        `None` where the unit was not recorded for all seeds.
    """
    times = times_to_target(selection, target, unit)
    return None if np.isnan(times).any() else mean_time(times)


def median_times(
    selections: Sequence[Selection], targets: Mapping[str, Target], unit: Unit = "epochs"
) -> tuple[list[str], list[str], Floats]:
    """The median times of optimizers on problems, for `measures.performance_ratios`.

    Args:
        selections: From `select`.
        targets: From `targets.targets`.
        unit: One of `UNITS`.

    Returns:
        The names of the optimizers, those of the problems that have a target and on which all of
        these optimizers were run, and the medians over the seeds of the shape (optimizers,
        problems), infinite where half of the seeds or more do not reach the target. Problems on
        which some seed has no record of the unit are left out.
    """
    optimizers = sorted({each.optimizer for each in selections})
    medians: dict[str, dict[str, float]] = {}
    for each in selections:
        if each.problem in targets:
            times = times_to_target(each, targets[each.problem].value, unit)
            medians.setdefault(each.problem, {})[each.optimizer] = _median(times)
    complete = {
        problem: of_optimizer
        for problem, of_optimizer in sorted(medians.items())
        if len(of_optimizer) == len(optimizers) and not np.isnan(list(of_optimizer.values())).any()
    }
    table = [[complete[problem][optimizer] for problem in complete] for optimizer in optimizers]
    return optimizers, list(complete), np.array(table).reshape(len(optimizers), len(complete))


def _time(run: pd.Series, curve: Floats, selection: Selection, target: float, unit: Unit) -> float:
    higher_is_better = selection.metric.higher_is_better
    if unit == "seconds":
        seconds = run["train_seconds"]
        if seconds is None:
            return np.nan
        # A run that diverged has trained for fewer epochs, and reaches nothing after them.
        lacking = len(curve) - 1 - len(seconds)
        padded = np.pad(seconds, (0, max(0, lacking)))
        return seconds_to_target(curve, padded, target, higher_is_better=higher_is_better)
    epochs = epochs_to_target(curve, target, higher_is_better=higher_is_better)
    return epochs if epochs in (0, np.inf) else epochs * _per_epoch(run, unit)


def _per_epoch(run: pd.Series, unit: Unit) -> float:
    if unit == "epochs":
        return 1.0
    steps_per_epoch = float(run["steps_per_epoch"])
    if unit == "steps":
        return steps_per_epoch
    counts = run[["steps", "gradient_evaluations"]]
    if counts.isna().any() or not counts["steps"]:
        return np.nan
    return steps_per_epoch * float(counts["gradient_evaluations"]) / float(counts["steps"])


def _median(times: Floats) -> float:
    """The median, where half the way to infinity is infinite too, and NaN stays."""
    in_order = np.sort(times)
    lower, upper = in_order[(len(times) - 1) // 2], in_order[len(times) // 2]
    return float(in_order[-1] if np.isnan(in_order[-1]) else (lower + upper) / 2)
