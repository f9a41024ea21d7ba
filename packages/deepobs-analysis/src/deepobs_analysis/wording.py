"""Numbers, lists and counts as people write them: no more digits than they deserve."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from deepobs.console.text import counted
from deepobs_analysis.measures import share_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from deepobs_analysis.measures import (
        Estimate,
        Interval,
        MeanAndDeviation,
        MeanTime,
        Reached,
        Speedup,
    )
    from deepobs_analysis.results import SkippedFile
    from deepobs_analysis.summaries import Summary
    from deepobs_analysis.targets import Target

MISSING = "-"
"""Stands for an unknown value."""

# Digits of a mean, however small the deviation is, as single precision has no more; and of a
# number without a deviation.
_MOST_DIGITS, _DIGITS = 7, 4
# Beyond these, numbers are written with an exponent.
_LARGEST, _SMALLEST = 1e6, 1e-4


def listed(names: Iterable[str], most: int = 12) -> str:
    """At least one name in a sentence: "a, b and c", or the first `most` "and 3 more"."""
    known = list(names)
    if len(known) > most:
        return f"{', '.join(known[:most])} and {len(known) - most} more"
    *others, last = known
    return f"{', '.join(others)} and {last}" if others else last


def skipped_text(path: Path, skipped: Sequence[SkippedFile]) -> str:
    """How many files of a directory are not part of its results, and why the first is not."""
    such_as = "" if len(skipped) == 1 else "such as "
    return (
        f"{counted(len(skipped), 'file')} in {path} skipped, {such_as}{skipped[0].file}: "
        f"{skipped[0].reason}."
    )


def sources_in_words(targets: Mapping[str, Target]) -> list[str]:
    """Sentences on where the targets of problems come from, and of which where that differs."""
    problems: dict[str, list[str]] = defaultdict(list)
    for problem, target in targets.items():
        problems[target.source].append(problem)
    if len(problems) == 1:
        return [f"The target is {source}." for source in problems]
    return [f"The target on {listed(those)} is {source}." for source, those in problems.items()]


def seeds_text(numbers: Iterable[int]) -> str:
    """How many seeds there are where that may differ, "3 seeds" or "3 to 10 seeds"."""
    fewest, *others = sorted(set(numbers))
    return f"{fewest} to {others[-1]} seeds" if others else counted(fewest, "seed")


def seed_numbers(seeds: Iterable[int]) -> str:
    """Which seeds these are: "seed 42", "seeds 1 and 3", "seeds 42 to 45"."""
    known = sorted(set(seeds))
    if len(known) == 1:
        return f"seed {known[0]}"
    if len(known) > 2 and known[-1] - known[0] == len(known) - 1:
        return f"seeds {known[0]} to {known[-1]}"
    return f"seeds {listed(map(str, known))}"


def seeds_of_rings(shown: Iterable[tuple[Iterable[int], bool]]) -> str:
    """Which seeds selected configurations are drawn with, and which others.

    Args:
        shown: Of each configuration, its seeds and whether it is selected and has a ring.
    """
    ringed: set[int] = set()
    others: set[int] = set()
    for seeds, is_ringed in shown:
        (ringed if is_ringed else others).update(seeds)
    if not ringed or not others or ringed == others:
        return f"All are means over {seed_numbers(ringed | others)}."
    deciding = ringed & others
    flattered = f", of which {seed_numbers(deciding)} selected them" if deciding else ""
    return (
        f"Rings are means over {seed_numbers(ringed)}{flattered}; other points are over "
        f"{seed_numbers(others)}."
    )


def mean_text(moments: MeanAndDeviation | None, seeds: int) -> str:
    """A mean and the deviation of its seeds, rounded to two digits of the deviation.

    Args:
        moments: Over the seeds; `None` if unknown.
        seeds: How many there are: a single one has no deviation.
    """
    if moments is None or not np.isfinite(moments).all():
        return MISSING
    mean, deviation = moments
    if seeds == 1:
        return number(mean)
    if deviation == 0:
        return f"{number(mean)} ± 0"
    digits = _leading(mean) - _leading(deviation) + 2 if mean else 2
    if digits > _MOST_DIGITS:
        return f"{number(mean, _MOST_DIGITS)} ± {deviation:.2g}"
    if abs(mean) >= _LARGEST or deviation >= _LARGEST or 0 < abs(mean) < _SMALLEST:
        return f"{number(mean, max(digits, 2))} ± {deviation:.1e}"
    # Rounded first: 0.0999 to two digits is 0.10, whose first digit is one place further left.
    decimals = max(0, 1 - _leading(float(f"{deviation:.1e}")))
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"


def performance_text(row: Summary, name: str = "final") -> str:
    """The mean of the seeds of a row that do not fail, and how many fail, if any do.

    Args:
        row: The row.
        name: "final", "best", "loss" or "accuracy", which it has.
    """
    seeds = len(row.seeds)
    text = mean_text(row.others.get(name), seeds - row.failed)
    return f"{text} ({row.failed} of {seeds} failed)" if row.failed else text


def failed_text(row: Summary) -> str:
    """How many seeds of a row fail, with an interval of their share, and how the others perform."""
    seeds = len(row.seeds)
    interval = share_interval(row.failed, seeds)
    of_share = "" if interval is None else f", 95 % interval {_percent(interval)}"
    text = (
        f"{row.failed} of {counted(seeds, 'seed')} failed ({share(row.failed / seeds)}{of_share})"
    )
    if not row.others:
        return text
    others = seeds - row.failed
    verb = "ends at" if others == 1 else "end at"
    shown = mean_text(row.others["final"], others)
    return f"{text}; the other {others} {verb} {shown}"


def full_mean_text(moments: MeanAndDeviation) -> str:
    """A mean with four digits, however large its deviation is, and as many decimals of that."""
    mean = number(moments.mean)
    decimals = len(mean.partition(".")[2])
    rounded = f"{moments.deviation:.{decimals}f}"
    is_visible = "e" not in mean and float(rounded) > 0
    return f"{mean} ± {rounded if is_visible else number(moments.deviation, 2)}"


def number(value: float | None, digits: int = _DIGITS) -> str:
    """A number with some significant digits; `MISSING` for `None` and NaN."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    rounded = f"{value:.{digits - 1}e}"
    if not _SMALLEST <= abs(value) < _LARGEST:
        return rounded
    return f"{value:.{max(0, digits - 1 - _leading(float(rounded)))}f}"


def share(value: float) -> str:
    """A share between 0 and 1 as percent; a small one is never shown as 0."""
    percent = 100 * value
    return f"{percent:.0f} %" if percent == 0 or percent >= 1 else "< 1 %"


def time_text(time: MeanTime | None) -> str:
    """A mean time to a target; where some runs miss it, only how many reach it.

    The mean of those that reach it would be that of the fastest.
    """
    if time is None:
        return MISSING
    if time.reached == time.runs:
        return number(time.mean, 3)
    if not time.reached:
        return f"never (0 of {time.runs})"
    return f"reached by {time.reached} of {counted(time.runs, 'seed')}"


def score_text(value: float | None, targets: Reached) -> str:
    """A benchmark score, and how many targets are reached unless all are."""
    text, (reached, of) = number(value, 3), targets
    return text if reached == of else f"{text} (reached on {reached} of {of})"


def speedup_text(speedup: Speedup | None, base: str | None) -> str:
    """A mean speedup over a base; where one of them misses targets, only on how many it is there.

    Over the problems that both solve, an optimizer that solves only the easiest could lead.
    """
    if speedup is None:
        return MISSING
    if min(speedup.reached, speedup.reached_by_reference) < speedup.of:
        own, theirs = f"reached on {speedup.reached} of {speedup.of}", speedup.reached_by_reference
        return own if theirs == speedup.of else f"{own}, {base} on {theirs}"
    if not speedup.problems:
        return MISSING
    return f"{number(speedup.geometric_mean, 3)} ({counted(speedup.problems, 'problem')})"


def ratio_text(ratio: float, reached: Reached) -> str:
    """How many times as long as the fastest an optimizer takes, and which seeds get there."""
    if reached.reached == reached.of:
        return number(ratio, 3)
    by_seeds = f"{reached.reached} of {counted(reached.of, 'seed')}"
    if math.isinf(ratio):
        return f"reached by {by_seeds}" if reached.reached else f"never (0 of {reached.of})"
    return f"{number(ratio, 3)} (reached by {by_seeds})"


def interval_text(interval: Interval, seeds: int) -> str:
    """An interval and how many seeds it rests on, `[0.21, 0.34] (3 seeds)`."""
    low, high = _rounded(interval, interval)
    return f"[{low}, {high}] ({counted(seeds, 'seed')})"


def estimate_text(value: float, interval: Interval | None, seeds: int) -> str:
    """A number with its interval, without digits that the interval leaves open."""
    if interval is None:
        return number(value)
    return f"{rounded_text(value, interval)} {interval_text(interval, seeds)}"


def estimate_or_missing(estimate: Estimate | None) -> str:
    """An estimate with its interval, if it is known."""
    if estimate is None:
        return MISSING
    return estimate_text(estimate.value, estimate.interval, estimate.seeds)


def rounded_text(value: float, interval: Interval) -> str:
    """A number without digits that its interval leaves open."""
    return _rounded([value], interval)[0]


def rounding_text(step: float) -> str:
    """What an interval of accuracies rests on whose seeds vary by less than their step."""
    return (
        f"Accuracies are multiples of {number(step, 2)}, by less of which the seeds vary: the "
        "interval is that of rounding"
    )


def _rounded(values: Iterable[float], interval: Interval) -> list[str]:
    """Values with two digits of half the width of an interval."""
    width = (interval.high - interval.low) / 2
    largest = max(map(abs, interval))
    if not math.isfinite(width) or width == 0 or not _SMALLEST <= largest < _LARGEST:
        return [number(value) for value in values]
    most = _MOST_DIGITS - 1 - _leading(largest)
    decimals = min(1 - _leading(float(f"{width:.1e}")), most)
    return [f"{value:.{max(0, decimals)}f}" for value in values]


def _percent(interval: Interval) -> str:
    return f"{100 * interval.low:.0f} to {100 * interval.high:.0f} %"


def _leading(value: float) -> int:
    """The place of the first digit: 0 for ones, 1 for tens, -1 for tenths."""
    return math.floor(math.log10(abs(value)))
