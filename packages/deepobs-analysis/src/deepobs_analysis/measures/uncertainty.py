"""How certain a measure of few seeds is: intervals with the coverage they state, and tests.

Intervals are about new seeds on the same problems; where there is a single seed, there is none.
docs/explanation/measures.md has their coverage, measured by benchmarks/interval_coverage.py. All
functions raise `ArgumentError` for missing problems or runs, and for NaN.

Accuracies are multiples of a step, that of one example, and few seeds may all have the same one by
chance. `resolution` is that step, on all problems or on each, and 0 for other measures: runs are
taken to vary at least as much as by rounding to it.

References:
    Welch, The Generalization of "Student's" Problem, Biometrika 34 (1947).
    Davison and Hinkley, Bootstrap Methods and their Application (1997), sections 2.3 and 3.2.
    Hall, Inverting an Edgeworth Expansion, The Annals of Statistics 11 (1983): the skewness.
    Newcombe, Confidence Intervals for an Effect Size Measure Based on the Mann-Whitney Statistic,
    part 2, Statistics in Medicine 25 (2006), method 5.
    Zou and Donner, Construction of Confidence Limits about Effect Measures, Statistics in Medicine
    27 (2008).
    Clopper and Pearson, The Use of Confidence or Fiducial Limits, Biometrika 26 (1934).
    Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of
    Statistics 6 (1979).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.aggregates import (
    interquartile_mean,
    mean_score,
    pairs,
    performance_difference,
    read_scores,
    share_won,
)
from deepobs_analysis.measures.arrays import (
    ROUNDED_DEVIATION,
    ROUNDING,
    equally_long,
    finite,
    floats,
    ordered,
)
from deepobs_analysis.measures.performance import mean_and_deviation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from deepobs_analysis.measures.aggregates import Scores
    from deepobs_analysis.measures.arrays import Direction, Floats

# A probability is known to a ten-thousandth: more digits than any number of seeds gives.
_PROBABILITIES = np.linspace(0, 1, 10_001)
_SAMPLES = 1000


class Interval(NamedTuple):
    """The ends of a confidence interval, in the unit of the measure."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % confidence interval over seeds.

    Attributes:
        value: The number.
        interval: `None` where an optimizer has a single seed on a problem.
        seeds: The fewest seeds of an optimizer on a problem that it rests on.
    """

    value: float
    interval: Interval | None
    seeds: int


Resolution: TypeAlias = float | Sequence[float]


def mean_interval(
    scores: Scores, *, confidence: float = 0.95, resolution: Resolution = 0.0
) -> Interval | None:
    """A confidence interval of `mean_score`: that of Student's t, wider where runs are skewed.

    Args:
        scores: See `mean_score`, shape (runs,) per problem.
        confidence: Coverage of the interval, above 0 and below 1.
        resolution: See above.

    Returns:
        `None` where there is a single run on a problem.
    """
    runs = read_scores(scores, finite)
    value = float(mean_score(runs))
    parts = [
        _Part(each / (len(each) * len(runs)), step * ROUNDED_DEVIATION / (len(each) * len(runs)))
        for each, step in zip(runs, _steps(resolution, len(runs)), strict=True)
    ]
    return _interval(value, parts, confidence, is_skewed=True)


def interquartile_mean_interval(
    scores: Scores, *, confidence: float = 0.95, resolution: Resolution = 0.0
) -> Interval | None:
    """A confidence interval of `interquartile_mean`, by a bootstrap of the runs of each problem.

    It is about the expected value for as many new seeds. Equal scores have the same interval
    whatever their order, and whenever it is computed.

    Args:
        scores: See `interquartile_mean`, finite, shape (runs,) per problem.
        confidence: Coverage of the interval, above 0 and below 1.
        resolution: See above.

    Returns:
        `None` where there is a single run on a problem.
    """
    _require_confidence(confidence)
    runs = read_scores(scores, finite)
    if min(map(len, runs)) < 2:
        return None
    steps, generator = _steps(resolution, len(runs)), np.random.default_rng(0)
    drawn = [_redrawn(*each, generator) for each in zip(runs, steps, strict=True)]
    value, tail = float(interquartile_mean(runs)), (1 - confidence) / 2
    low, high = np.quantile(interquartile_mean(drawn), [tail, 1 - tail])
    return Interval(min(float(low), value), max(float(high), value))


def difference_interval(
    scores: Scores,
    reference: Scores,
    *,
    higher_is_better: Direction,
    paired: bool = False,
    confidence: float = 0.95,
    resolution: Resolution = 0.0,
) -> Interval | None:
    """A confidence interval of `performance_difference`: that of Welch, or of the paired t test.

    Args:
        scores: See `performance_difference`, shape (runs,) per problem.
        reference: See `performance_difference`.
        higher_is_better: See `performance_difference`.
        paired: Whether run i of both has the same seed, so that what seeds share cancels.
        confidence: Coverage of the interval, above 0 and below 1.
        resolution: See above.

    Returns:
        `None` where there is a single run of an optimizer on a problem.
    """
    value, parts = _difference(scores, reference, higher_is_better, paired, resolution)
    return _interval(value, parts, confidence)


def difference_p_value(
    scores: Scores,
    reference: Scores,
    *,
    higher_is_better: Direction,
    paired: bool = False,
    resolution: Resolution = 0.0,
) -> float | None:
    """The two-sided p-value of two optimizers being equally good. See `difference_interval`."""
    from scipy import special

    value, parts = _difference(scores, reference, higher_is_better, paired, resolution)
    error = _error(parts)
    if error is None:
        return None
    if error.size == 0:
        return float(value == 0)
    return float(2 * special.stdtr(error.freedom, -abs(value) / error.size))


def varies_less_than_rounding(
    scores: ArrayLike, reference: ArrayLike, *, paired: bool, resolution: float
) -> bool:
    """Whether a difference on one problem rests on what rounding does, in `difference_interval`."""
    _, parts = _difference([scores], [reference], True, paired, resolution)
    return all(float(np.std(part.runs, ddof=1)) < part.least for part in parts)


def improvement_interval(
    scores: Scores, reference: Scores, *, higher_is_better: Direction, confidence: float = 0.95
) -> Interval | None:
    """A confidence interval of `probability_of_improvement`.

    Unlike one from a standard error it has a width where all runs of one optimizer beat all of the
    other: with three seeds each, a probability of 1 comes with an interval from 0.5 on.

    Args:
        scores: See `probability_of_improvement`.
        reference: See `probability_of_improvement`.
        higher_is_better: See `probability_of_improvement`.
        confidence: Coverage of the interval, above 0 and below 1.

    Returns:
        `None` where there is a single run of an optimizer on a problem.
    """
    from scipy import special

    _require_confidence(confidence)
    centers, lows, highs = [], [], []
    for sign, own, other in pairs(scores, reference, higher_is_better, ordered):
        if min(len(own), len(other)) < 2:
            return None
        center = float(share_won(sign * own, sign * other))
        quantile = float(special.stdtrit(len(own) + len(other) - 2, (1 + confidence) / 2))
        reach = quantile * _errors_of_improvement(len(own), len(other))
        possible = _PROBABILITIES[abs(center - _PROBABILITIES) <= reach + 1e-12]
        centers.append(center)
        lows.append(center - possible[0])
        highs.append(possible[-1] - center)
    problems, center = len(centers), sum(centers) / len(centers)
    return Interval(
        center - math.hypot(*lows) / problems,
        center + math.hypot(*highs) / problems,
    )


def share_interval(count: int, runs: int, *, confidence: float = 0.95) -> Interval | None:
    """A confidence interval of a share, such as that of seeds that fail: that of Clopper-Pearson.

    Args:
        count: How many of the runs it is.
        runs: How many there are, 1 or more.
        confidence: The least coverage of the interval, above 0 and below 1.

    Returns:
        `None` for a single run.
    """
    from scipy import special

    _require_confidence(confidence)
    if not 0 <= count <= runs or runs < 1:
        raise ArgumentError(f"A share is of 1 run or more, got {count} of {runs}.")
    if runs == 1:
        return None
    tail = (1 - confidence) / 2
    low = special.betaincinv(count, runs - count + 1, tail) if count else 0.0
    high = special.betaincinv(count + 1, runs - count, 1 - tail) if count < runs else 1.0
    return Interval(float(low), float(high))


def prediction_interval(
    values: ArrayLike, *, further: int = 1, confidence: float = 0.95, resolution: float = 0.0
) -> Interval | None:
    """Where the mean of further runs of the same configuration will be.

    Args:
        values: One value per run, finite, shape (runs,).
        further: How many further runs there are.
        confidence: How often it will be there, above 0 and below 1.
        resolution: See above.

    Returns:
        `None` for a single run.
    """
    from scipy import special

    _require_confidence(confidence)
    numbers = finite(values, "values")
    runs = len(numbers)
    if runs == 1:
        return None
    mean, deviation = mean_and_deviation(numbers)
    deviation = max(deviation * math.sqrt(runs / (runs - 1)), resolution * ROUNDED_DEVIATION)
    width = float(special.stdtrit(runs - 1, (1 + confidence) / 2)) * deviation
    width *= math.sqrt(1 / further + 1 / runs)
    return Interval(mean - width, mean + width)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of many tests, adjusted so that they hold for all of them together.

    With those of up to 0.05 called significant, the probability of one or more false calls is at
    most 5 %, however the tests depend on each other.

    Args:
        p_values: One for each test.

    Returns:
        In the same order, each up to 1.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, test in enumerate(sorted(range(len(p_values)), key=lambda test: p_values[test])):
        largest = max(largest, (len(p_values) - place) * p_values[test])
        adjusted[test] = min(1.0, largest)
    return adjusted


class _Error(NamedTuple):
    """A standard error, the degrees of freedom of its square, and the skewness of the measure."""

    size: float
    freedom: float
    skewness: float


class _Part(NamedTuple):
    """What each of some runs that differ only in their seed adds to a measure, up to a constant.

    Attributes:
        runs: Shape (runs,).
        least: The least standard deviation that these are taken to have.
    """

    runs: Floats
    least: float = 0.0


def _error(parts: Sequence[_Part]) -> _Error | None:
    """The standard error of a measure that is the sum of independent parts.

    `None` is returned where one has a single run.
    """
    if min(len(part.runs) for part in parts) < 2:
        return None
    largest = max(max(float(np.ptp(part.runs)), part.least) for part in parts)
    if largest <= ROUNDING * max(float(abs(part.runs).max()) for part in parts):
        return _Error(0.0, math.inf, 0.0)
    variances, freedoms, thirds = [], [], []
    for part in parts:
        # Scaled, as squares of squares of a loss of 1e100 are no numbers.
        runs, distances = len(part.runs), (part.runs - part.runs.mean()) / largest
        variance = runs / (runs - 1) * float((distances**2).sum())
        variances.append(max(variance, runs * (part.least / largest) ** 2))
        freedoms.append(runs - 1)
        of_third = runs**2 / ((runs - 1) * (runs - 2)) if runs > 2 else 0.0
        thirds.append(of_third * float((distances**3).sum()))
    variance = sum(variances)
    # Satterthwaite's approximation, as Welch has it for two means.
    freedom = variance**2 / sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    return _Error(largest * math.sqrt(variance), freedom, sum(thirds) / variance**1.5)


def _interval(
    value: float,
    parts: Sequence[_Part],
    confidence: float,
    *,
    is_skewed: bool = False,
) -> Interval | None:
    from scipy import special  # imported here as it takes longer than all measures together

    _require_confidence(confidence)
    error = _error(parts)
    if error is None:
        return None
    if error.size == 0:
        return Interval(value, value)
    quantile = float(special.stdtrit(error.freedom, (1 + confidence) / 2))
    # The first term of the Cornish-Fisher expansion of a studentized mean. It never narrows the
    # other side, as few runs say little about skewness; in a difference, that of two optimizers
    # on the same problem cancels.
    shift = error.skewness / 6 * (2 * quantile**2 + 1) if is_skewed else 0.0
    longer = quantile + min(abs(shift), quantile)
    below, above = (quantile, longer) if shift > 0 else (longer, quantile)
    return Interval(value - below * error.size, value + above * error.size)


def _difference(
    scores: Scores,
    reference: Scores,
    higher_is_better: Direction,
    paired: bool,
    resolution: Resolution,
) -> tuple[float, list[_Part]]:
    """The difference, and what each run, or each pair of runs, adds to it."""
    value = float(performance_difference(scores, reference, higher_is_better=higher_is_better))
    of_problems = pairs(scores, reference, higher_is_better, finite)
    if abs(value) <= ROUNDING * max(abs(each).max() for _, *both in of_problems for each in both):
        value = 0.0
    problems, parts = len(of_problems), []
    for (sign, own, other), step in zip(of_problems, _steps(resolution, problems), strict=True):
        least = step * ROUNDED_DEVIATION
        if not paired:
            of_both = [(sign * own, least), (-sign * other, least)]
        elif len(own) == len(other):
            of_both = [(sign * (own - other), least * math.sqrt(2))]
        else:
            raise ArgumentError(f"Pairs need equally many runs, got {len(own)} and {len(other)}.")
        for runs, deviation in of_both:
            share = 1 / (len(runs) * problems)
            parts.append(_Part(runs * share, deviation * share))
    return value, parts


def _steps(resolution: Resolution, problems: int) -> Floats:
    """The resolution on each problem."""
    if isinstance(resolution, (int, float)):
        return np.full(problems, float(resolution))
    steps = floats(resolution, "resolutions")
    equally_long("resolutions", steps, "problems", np.empty(problems))
    return steps


def _redrawn(runs: Floats, step: float, generator: np.random.Generator) -> Floats:
    """What other seeds could have given on a problem, shape (`_SAMPLES`, runs).

    Few runs vary less than new ones do, and by how much is uncertain: their distances from the
    mean are scaled by a draw of the deviation that normal runs with theirs could have.
    """
    count, in_order = len(runs), np.sort(runs)
    center = in_order.mean()
    scales = np.sqrt(count / generator.chisquare(count - 1, size=(_SAMPLES, 1)))
    chosen = in_order[generator.integers(count, size=(_SAMPLES, count))]
    rounding = step * (generator.random((_SAMPLES, count)) - 0.5)
    return np.asarray(center + scales * (chosen - center) + rounding)


@functools.lru_cache
def _errors_of_improvement(own: int, other: int) -> Floats:
    """The standard error of the share of pairs won, for each of `_PROBABILITIES`."""
    p = _PROBABILITIES
    further = ((own + other) / 2 - 1) * ((1 - p) / (2 - p) + p / (1 + p))
    return np.asarray(np.sqrt(p * (1 - p) * (1 + further) / (own * other)))


def _require_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ArgumentError(f"The confidence must be above 0 and below 1, got {confidence}.")
