"""Scores of optimizers over many problems, and the problems that do not count in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from deepobs.errors import UnknownNameError, closest, sentences
from deepobs_analysis.measures import (
    Estimate,
    Reached,
    benchmark_score,
    geometric_mean_speedup,
    improvement_interval,
    interquartile_mean,
    interquartile_mean_interval,
    normalized,
    performance_ratios,
    probability_of_improvement,
)
from deepobs_analysis.targets import median_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepobs_analysis.measures import Speedup
    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.selection import Selection
    from deepobs_analysis.summaries import Summary
    from deepobs_analysis.targets import Target, Unit

    _Pairs: TypeAlias = Mapping[tuple[str, str], Selection]  # by problem and optimizer

USUAL_BASE = "SGD"
"""The default optimizer to compare with."""


@dataclass(frozen=True, slots=True)
class Score:
    """How an optimizer performed over all problems that count.

    Attributes:
        optimizer: The optimizer.
        benchmark_score: The area under its performance profile, 0 to 1; `None` without a problem.
        reached: On how many problems more than half of its seeds reach the target.
        ratios: By problem, how many times as long as the fastest it takes to the target.
        seeds: By problem, how many of its seeds reach the target.
        speedup: How many times as fast as the base it is, if both reach all targets; `None` for
            the base.
        normalized: Interquartile mean of the scores of all seeds, 0 for an untrained model and 1
            for the target; `None` without a problem.
        improvement: How probable it is that a seed beats one of the base; `None` for the base.
    """

    optimizer: str
    benchmark_score: float | None
    reached: Reached
    ratios: Mapping[str, float]
    seeds: Mapping[str, Reached]
    speedup: Speedup | None
    normalized: Estimate | None
    improvement: Estimate | None


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of all optimizers.

    Attributes:
        unit: Unit of times to the target.
        base: The optimizer that the others are compared with, if any.
        scores: One for each optimizer, the best benchmark score first.
        targets: The target of each problem that has one.
        timed: The problems that count in benchmark scores and speedups.
        compared: Those that count in normalized scores and probabilities of improvement.
        skipped: Problems that do not count in all of these, and why.
    """

    unit: Unit
    base: str | None
    scores: Sequence[Score]
    targets: Mapping[str, Target]
    timed: Sequence[str]
    compared: Sequence[str]
    skipped: Mapping[str, str]


def scores_of(
    rows: Sequence[Summary], *, unit: Unit = "epochs", against: str | None = None
) -> Scores:
    """Compare optimizers over all problems that all of them were run on.

    Args:
        rows: From `summarize`.
        unit: Unit of times to the target.
        against: The optimizer that the others are compared with; `None` for SGD if it was run.

    Raises:
        UnknownNameError: There is no run of the optimizer to compare with.
    """
    pairs = {(row.problem, row.optimizer): row.selection for row in rows}
    targets = {row.problem: row.target for row in rows if row.target is not None}
    optimizers, timed, times = median_times(list(pairs.values()), targets, unit)
    base = _base(against, optimizers)
    reasons = {row.problem: _reason(row.problem, pairs, optimizers, row.target) for row in rows}
    compared = [problem for problem, reason in reasons.items() if reason is None]
    reached = {
        (row.problem, row.optimizer): Reached(time.reached, time.runs)
        for row in rows
        if (time := row.times.get(unit)) is not None
    }
    timings = _timings(times, optimizers, timed, base)
    scores = [
        Score(
            optimizer,
            timings[optimizer].benchmark_score,
            timings[optimizer].reached,
            timings[optimizer].ratios,
            {problem: reached[problem, optimizer] for problem in timed},
            timings[optimizer].speedup,
            _normalized(pairs, optimizer, compared, targets) if compared else None,
            _improvement(pairs, optimizer, base, compared)
            if compared and base and base != optimizer
            else None,
        )
        for optimizer in optimizers
    ]
    untimed = f"{unit} were not recorded for all of its runs, so it counts in no score or speedup"
    for problem in compared:
        if problem not in timed:
            reasons[problem] = untimed
    return Scores(
        unit=unit,
        base=base,
        scores=sorted(scores, key=lambda score: -(score.benchmark_score or 0)),
        targets=targets,
        timed=timed,
        compared=compared,
        skipped={problem: reason for problem, reason in reasons.items() if reason is not None},
    )


def _base(against: str | None, optimizers: Sequence[str]) -> str | None:
    if against is None:
        return USUAL_BASE if USUAL_BASE in optimizers else None
    if against not in optimizers:
        message = f"The results hold no run of the optimizer {against!r}."
        every = f"Known: {', '.join(optimizers)}."
        raise UnknownNameError(sentences(message, closest(against, optimizers), every))
    return against


def _reason(
    problem: str, pairs: _Pairs, optimizers: Sequence[str], target: Target | None
) -> str | None:
    """Why a problem does not count; `None` where it does."""
    lacking = [optimizer for optimizer in optimizers if (problem, optimizer) not in pairs]
    if lacking:
        return f"it was not run with {', '.join(lacking)}"
    if target is None:
        return "it has no target, because half of the seeds of every optimizer diverged"
    untrained = _untrained(problem, pairs)
    is_higher_better = pairs[problem, optimizers[0]].metric.higher_is_better
    if (untrained >= target.value) if is_higher_better else (untrained <= target.value):
        return "even untrained models reach its target, so it counts in scores and speedups only"
    return None


class _Timing(NamedTuple):
    """What follows from the times of an optimizer; see `Score`."""

    benchmark_score: float | None
    reached: Reached
    ratios: Mapping[str, float]
    speedup: Speedup | None


def _timings(
    times: Floats, optimizers: Sequence[str], timed: Sequence[str], base: str | None
) -> dict[str, _Timing]:
    if not timed:
        return dict.fromkeys(optimizers, _Timing(None, Reached(0, 0), {}, None))
    ratios = performance_ratios(times)
    areas = benchmark_score(ratios)
    base_times = times[optimizers.index(base)] if base else None
    return {
        optimizer: _Timing(
            float(areas[place]),
            Reached(int(np.isfinite(times[place]).sum()), len(timed)),
            dict(zip(timed, ratios[place].tolist(), strict=True)),
            None
            if base_times is None or optimizer == base
            else geometric_mean_speedup(times[place], base_times),
        )
        for place, optimizer in enumerate(optimizers)
    }


def _untrained(problem: str, pairs: _Pairs) -> float:
    """The mean performance before training, of all optimizers."""
    before = [each.curves()[:, 0] for (name, _), each in pairs.items() if name == problem]
    return float(np.concatenate(before).mean())


def _normalized(
    pairs: _Pairs,
    optimizer: str,
    problems: Sequence[str],
    targets: Mapping[str, Target],
) -> Estimate:
    """A run that diverged counts with its performance before training."""
    scores, steps = [], []
    for problem in problems:
        selection, untrained = pairs[problem, optimizer], _untrained(problem, pairs)
        target = targets[problem].value
        scores.append(
            normalized(
                selection.final(),
                untrained=untrained,
                target=target,
                higher_is_better=selection.metric.higher_is_better,
            )
        )
        steps.append(selection.resolution() / abs(target - untrained))
    return Estimate(
        float(interquartile_mean(scores)),
        interquartile_mean_interval(scores, resolution=steps),
        min(map(len, scores)),
    )


def _improvement(pairs: _Pairs, optimizer: str, base: str, problems: Sequence[str]) -> Estimate:
    # By final_or_worst: compared by the value before training, a run that diverged could still beat
    # one that trained badly.
    directions = [pairs[problem, optimizer].metric.higher_is_better for problem in problems]
    own, other = (
        [pairs[problem, name].final_or_worst() for problem in problems]
        for name in (optimizer, base)
    )
    return Estimate(
        float(probability_of_improvement(own, other, higher_is_better=directions)),
        improvement_interval(own, other, higher_is_better=directions),
        min(map(len, [*own, *other])),
    )
