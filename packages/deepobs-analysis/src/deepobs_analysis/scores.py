"""Scores of optimizers over many problems, and the problems that do not count in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from deepobs.console.screen import Column, render
from deepobs.console.text import counted
from deepobs.errors import ArgumentError, UnknownNameError, closest, joined, sentences
from deepobs.html_views import grid, notes_below
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
from deepobs_analysis.reference_names import bare, closest_optimizer
from deepobs_analysis.selection import references_left_out
from deepobs_analysis.summaries import rows_of
from deepobs_analysis.targets import UNITS, median_times
from deepobs_analysis.wording import estimate_or_missing, score_text, speedup_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs_analysis.measures import Speedup
    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Selection
    from deepobs_analysis.summaries import Summary
    from deepobs_analysis.targets import Target, Unit

    _Pairs: TypeAlias = Mapping[tuple[str, str], Selection]  # by problem and optimizer

EXPLANATION = (
    "Score: area under the performance profile of the times to the target, up to four times "
    "that of the fastest; an optimizer that is the fastest on every problem has 1, and a "
    "target that is missed counts as 0. Speedup: geometric mean over all problems, if both "
    "optimizers reach all targets, each with more than half of the seeds. Normalized: "
    "performance after the last epoch, on a scale where an untrained model has 0 and the "
    "target is 1; interquartile mean over all seeds. Better seed: probability that a seed of "
    "this optimizer ends better than a seed of the one it is compared with. In brackets: 95 % "
    "intervals; in parentheses, how many seeds they rest on. One seed has no interval."
)
"""What the columns of scores mean."""

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


@dataclass(frozen=True, slots=True, repr=False)
class Scores:
    """The scores of all optimizers. As text it is a table; notebooks show the notes below, too.

    Attributes:
        unit: Unit of times to the target.
        base: The optimizer that the others are compared with, if any.
        scores: One for each optimizer, the best benchmark score first.
        targets: The target of each problem that has one.
        timed: The problems that count in benchmark scores and speedups.
        compared: Those that count in normalized scores and probabilities of improvement.
        skipped: Problems that do not count in all of these, and optimizers of a reference set
            that are not compared, and why.
    """

    unit: Unit
    base: str | None
    scores: Sequence[Score]
    targets: Mapping[str, Target]
    timed: Sequence[str]
    compared: Sequence[str]
    skipped: Mapping[str, str]

    def __repr__(self) -> str:
        headings = [Column(heading.upper()) for heading in self.headings]
        heading, lines = render(headings, self.cells, None)
        return "\n".join([heading, *lines])

    def _repr_html_(self) -> str:
        return grid("", self.headings, self.cells) + notes_below(self.notes)

    @property
    def headings(self) -> list[str]:
        """The headings of the columns of `cells`."""
        against = f" vs {self.base}" if self.base else ""
        return ["Optimizer", "Score", f"Speedup{against}", "Normalized", f"Better seed{against}"]

    @property
    def cells(self) -> list[list[str]]:
        """What people read of each optimizer, the best score first."""
        return [
            [
                score.optimizer,
                score_text(score.benchmark_score, score.reached),
                speedup_text(score.speedup, self.base),
                estimate_or_missing(score.normalized),
                estimate_or_missing(score.improvement),
            ]
            for score in self.scores
        ]

    @property
    def notes(self) -> list[str]:
        """What the columns mean, on which problems they rest, and why not on others."""
        skipped = [f"Skipped: {sentence}" for sentence in self.skipped_in_words()]
        return [EXPLANATION, self.basis, *skipped]

    @property
    def basis(self) -> str:
        """On how many problems the columns rest."""
        timed, compared = (counted(len(of), "problem") for of in (self.timed, self.compared))
        if set(self.timed) == set(self.compared):
            return f"All columns of the first table rest on {timed}."
        return f"SCORE and SPEEDUP rest on {timed}, NORMALIZED and BETTER SEED on {compared}."

    def skipped_in_words(self) -> list[str]:
        """Which problems and optimizers do not count, a sentence for each reason."""
        by_reason: dict[str, list[str]] = {}
        for problem, reason in self.skipped.items():
            by_reason.setdefault(reason, []).append(problem)
        return [f"{joined(problems)}: {reason}." for reason, problems in by_reason.items()]


def scores_of(
    rows: Iterable[Summary] | Results, *, unit: Unit = "epochs", against: str | None = None
) -> Scores:
    """Compare optimizers over all problems that all of them were run on.

    Optimizers of a reference set that were not run on all problems on which others of it can be
    compared with one's own are left out, and all of them if none was run under the same protocol: a
    problem is worth more than one of many references.

    Args:
        rows: From `summarize`, or results.
        unit: Unit of times to the target.
        against: The optimizer that the others are compared with; `None` for SGD, one's own or that
            of a reference set, if it was run.

    Raises:
        UnknownNameError: There is no run of the optimizer to compare with.
    """
    rows = rows_of(rows)
    if unit not in UNITS:
        message = f"Units of time are {', '.join(UNITS)}; got {unit!r}."
        raise ArgumentError(sentences(message, closest(str(unit), UNITS)))
    left_out = references_left_out(row.selection for row in rows)
    left_out.pop(against or "", None)  # it was asked for
    rows = [row for row in rows if row.optimizer not in left_out]
    pairs = {(row.problem, row.optimizer): row.selection for row in rows}
    targets = {row.problem: row.target for row in rows if row.target is not None}
    optimizers, timed, times = median_times(list(pairs.values()), targets, unit)
    base = _base(against, optimizers)
    untrained = {problem: _untrained(problem, pairs) for problem in targets}
    reasons = {
        row.problem: _reason(row.problem, pairs, optimizers, row.target, untrained)
        for row in {row.problem: row for row in rows}.values()
    }
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
            _normalized(pairs, optimizer, compared, targets, untrained) if compared else None,
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
        skipped={**left_out, **{k: why for k, why in reasons.items() if why is not None}},
    )


def _base(against: str | None, optimizers: Sequence[str]) -> str | None:
    if against is None:
        usual = sorted((each for each in optimizers if bare(each) == USUAL_BASE), key=len)
        return usual[0] if usual else None
    if against not in optimizers:
        message = f"The results hold no run of the optimizer {against!r}."
        every = f"Known: {joined(optimizers)}."
        raise UnknownNameError(sentences(message, closest_optimizer(against, optimizers), every))
    return against


def _reason(
    problem: str,
    pairs: _Pairs,
    optimizers: Sequence[str],
    target: Target | None,
    untrained: Mapping[str, float],
) -> str | None:
    """Why a problem does not count; `None` where it does."""
    lacking = [optimizer for optimizer in optimizers if (problem, optimizer) not in pairs]
    if lacking:
        return f"it was not run with {joined(lacking)}"
    if target is None:
        return "it has no target, because half of the seeds of every optimizer diverged"
    before, is_higher_better = (
        untrained[problem],
        pairs[problem, optimizers[0]].metric.higher_is_better,
    )
    if (before >= target.value) if is_higher_better else (before <= target.value):
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
    untrained: Mapping[str, float],
) -> Estimate:
    """A run that diverged counts with its performance before training."""
    scores, steps = [], []
    for problem in problems:
        selection, target = pairs[problem, optimizer], targets[problem].value
        scores.append(
            normalized(
                selection.final(),
                untrained=untrained[problem],
                target=target,
                higher_is_better=selection.metric.higher_is_better,
            )
        )
        steps.append(selection.resolution() / abs(target - untrained[problem]))
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
