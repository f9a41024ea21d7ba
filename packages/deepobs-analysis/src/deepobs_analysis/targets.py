"""The performance that counts as solving a problem, and how long runs take to reach it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import pandas as pd

from deepobs.plugins import registry
from deepobs_analysis.measures import (
    mean_time,
    seconds_to_target,
    target_performance,
)
from deepobs_analysis.measures.arrays import median
from deepobs_analysis.reference_names import targets_of_sets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs_analysis.measures import MeanTime
    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.selection import Selection

GIVEN = "given for this analysis"
PUBLISHED = "published with the problem"
PUBLISHED_SAME_ORDER = f"{PUBLISHED}, for the same order of the data in every epoch"
FROM_SETS = "derived from the baselines that come with DeepOBS"
FROM_REFERENCE = "1 % worse than the median seed of the best optimizer of the reference set"
FROM_RESULTS = "1 % worse than the median seed of the best optimizer of these results"

# Without it, half of the seeds of the best optimizer would miss the target that they set.
_TOLERANCE = 0.01
# How close to the least loss a target may be, as what is below is rounding: of the loss before
# training, but of no more than 1, since that of steep problems is 1e5.
_RESOLUTION = 1e-6

Unit: TypeAlias = Literal["epochs", "steps", "gradient evaluations", "seconds"]
UNITS: tuple[Unit, ...] = get_args(Unit)


@dataclass(frozen=True, slots=True)
class Target:
    """A performance to reach.

    Attributes:
        value: In the unit of the problem's metric.
        source: Where it comes from, in a few words.
    """

    value: float
    source: str


class _TimedRun(NamedTuple):
    """What the time to a target follows from: epochs, a curve, and columns of `Results.runs`."""

    epochs: float
    curve: Floats
    has_diverged: bool
    evaluated_at: Floats
    train_seconds: Floats | None
    steps_per_epoch: float
    steps: Any
    gradient_evaluations: Any


def targets(selections: Iterable[Selection]) -> dict[str, Target]:
    """The target of each problem.

    It is the one that `Results.with_targets` fixed, or else the one published with the problem, if
    its package is installed and states one. Of two, it is that for the same order of the data in
    every epoch if all runs repeat it. Without any, it is the one derived from the reference sets
    that come with DeepOBS, for as long training on as many examples as there, or else it follows
    from the final performances of the reference set, or without one from these results; see
    `derived`.

    Args:
        selections: From `select`, including those of a reference set.

    Returns:
        A target for each problem; none where half of the seeds of every optimizer diverged.
    """
    found = {problem: _target(those) for problem, those in _by_problem(selections).items()}
    return {problem: target for problem, target in found.items() if target is not None}


def derived(selections: Iterable[Selection]) -> dict[str, float]:
    """The targets that follow from results, by the rule of `measures.target_performance`.

    Where the least loss is known, a target is no closer to it than one millionth, or one millionth
    of the loss before training if that is less than 1: below that, losses tell of rounding.

    Args:
        selections: From `select`: tuned optimizers, each run with many seeds.

    Returns:
        A target for each problem; none where half of the seeds of every optimizer diverged.
    """
    found = {problem: _derived(those) for problem, those in _by_problem(selections).items()}
    return {problem: value for problem, value in found.items() if value is not None}


def times_to_target(selection: Selection, target: float, unit: Unit = "epochs") -> Floats:
    """How long each seed of a configuration takes to reach a target on the test set.

    Args:
        selection: The configuration.
        target: In the unit of its metric.
        unit: One of `UNITS`. Seconds are those of training, without evaluation.

    Returns:
        Shape (seeds,): infinite where the target is not reached or the seed diverged, NaN where
        the unit was not recorded.
    """
    columns = (selection.metric.curve("test"), *_TimedRun._fields[2:])
    epochs = selection.epochs_to_target(target)
    runs = zip(epochs, *map(selection.rows.each, columns), strict=True)
    return np.array([_time(_TimedRun(*run), selection, target, unit) for run in runs])


def mean_time_to_target(
    selection: Selection, target: float, unit: Unit = "epochs"
) -> MeanTime | None:
    """The mean over the seeds that reach a target, and how many do.

    Args:
        selection: The configuration.
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
        targets: From `targets`.
        unit: One of `UNITS`.

    Returns:
        The names of the optimizers, those of the problems that have a target, were run with all of
        these optimizers and have the unit recorded for all seeds, and the medians over the seeds,
        shape (optimizers, problems), infinite where half of the seeds or more miss the target.
    """
    # Ratios depend on all optimizers that are compared, so a problem that one of them was not run
    # on counts for none: else optimizers would be compared on different problems.
    optimizers = sorted({each.optimizer for each in selections})
    medians: dict[str, dict[str, float]] = {}
    for each in selections:
        if each.problem in targets:
            times = times_to_target(each, targets[each.problem].value, unit)
            medians.setdefault(each.problem, {})[each.optimizer] = median(times)
    complete = {
        problem: of_optimizer
        for problem, of_optimizer in sorted(medians.items())
        if len(of_optimizer) == len(optimizers) and not np.isnan(list(of_optimizer.values())).any()
    }
    table = [[complete[problem][optimizer] for problem in complete] for optimizer in optimizers]
    return optimizers, list(complete), np.array(table).reshape(len(optimizers), len(complete))


def _by_problem(selections: Iterable[Selection]) -> dict[str, list[Selection]]:
    by_problem: dict[str, list[Selection]] = defaultdict(list)
    for selection in selections:
        by_problem[selection.problem].append(selection)
    return by_problem


def _target(selections: list[Selection]) -> Target | None:
    given = selections[0].target
    if given is not None:
        return Target(given, GIVEN)
    published = _published(selections)
    if published is not None:
        return published
    of_sets = targets_of_sets().get(selections[0].testproblem)
    if of_sets is not None and all(map(_is_trained_as_usual, selections)):
        return Target(of_sets, FROM_SETS)
    reference = [each for each in selections if each.is_reference]
    value = _derived(reference or selections)
    return None if value is None else Target(value, FROM_REFERENCE if reference else FROM_RESULTS)


def _derived(selections: Sequence[Selection]) -> float | None:
    performances = [each.final_or_worst() for each in selections]
    # The median of an optimizer is infinite if half of its seeds diverged, and no target follows.
    if not any(np.isfinite(each).mean() > 1 / 2 for each in performances):
        return None
    is_accuracy = selections[0].metric.higher_is_better
    value = target_performance(performances, higher_is_better=is_accuracy, tolerance=_TOLERANCE)
    offer = registry().problems.find(selections[0].testproblem)
    least = None if offer is None or is_accuracy else offer.spec.least_loss
    if least is None:
        return value
    untrained = float(np.concatenate([each.curves()[:, 0] for each in selections]).mean())
    return max(value, least + _RESOLUTION * min(untrained - least, 1.0))


def _published(selections: Sequence[Selection]) -> Target | None:
    """The target of the plugin for the protocol of the runs."""
    offer = registry().problems.find(selections[0].testproblem)
    if offer is None:
        return None
    # Those of a reference set are judged by the target of one's own runs.
    own = [each for each in selections if not each.is_reference] or selections
    same_order = offer.spec.target_performance_same_order
    if same_order is not None and all(map(_repeats_order, own)):
        return Target(same_order, PUBLISHED_SAME_ORDER)
    value = offer.spec.target_performance
    return None if value is None else Target(value, PUBLISHED)


def _is_trained_as_usual(selection: Selection) -> bool:
    """Whether runs have the epochs of their problem and all of its data, as those of the sets."""
    offer = registry().problems.find(selection.testproblem)
    if offer is None:
        return False
    usual = {"num_epochs": offer.spec.epochs, "max_steps": None, "train_fraction": 1.0}
    protocol = selection.rows.first("protocol")
    return all(protocol.get(name) == value for name, value in usual.items())


def _repeats_order(selection: Selection) -> bool:
    """Whether every epoch has the order of the first, as always in DeepOBS 1.1."""
    return all(
        not measurement.get("reshuffle", layout != "1.1")
        for measurement, layout in zip(
            selection.rows.each("measurement"), selection.rows.each("format"), strict=True
        )
    )


def _time(run: _TimedRun, selection: Selection, target: float, unit: Unit) -> float:
    if run.has_diverged:
        return np.inf
    if unit == "seconds":
        if run.train_seconds is None:
            return np.nan
        return seconds_to_target(
            *(run.curve, run.train_seconds, target),
            higher_is_better=selection.metric.higher_is_better,
            evaluated_at=run.evaluated_at,
        )
    # Neither 0 nor infinity depends on steps per epoch, which need not be recorded then.
    return run.epochs if run.epochs in (0, np.inf) else run.epochs * _per_epoch(run, unit)


def _per_epoch(run: _TimedRun, unit: Unit) -> float:
    if unit == "epochs":
        return 1.0
    if unit == "steps":
        return float(run.steps_per_epoch)
    if pd.isna(run.steps) or pd.isna(run.gradient_evaluations) or not run.steps:
        return np.nan
    return float(run.steps_per_epoch) * float(run.gradient_evaluations) / float(run.steps)
