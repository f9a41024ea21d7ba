"""The best optimizer on each problem, whether seeds alone could explain it, and both in words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from deepobs.console.text import counted
from deepobs_analysis.measures import (
    difference_interval,
    difference_p_value,
    holm,
    performance_difference,
    varies_less_than_rounding,
)
from deepobs_analysis.measures.arrays import same
from deepobs_analysis.reference_names import suffix_of
from deepobs_analysis.summaries import best_of, rows_of
from deepobs_analysis.wording import (
    failed_text,
    interval_text,
    listed,
    mean_text,
    number,
    rounded_text,
    rounding_text,
    seeds_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs_analysis.measures import Interval
    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.results import Results
    from deepobs_analysis.summaries import Summary

    _Pair: TypeAlias = tuple[str, frozenset[str]]  # a problem and two optimizers

FEWEST_SEEDS = 3
"""With fewer seeds, nothing is said about other seeds."""

SIGNIFICANT = 0.05
"""Up to which p-value a difference is called significant."""


@dataclass(frozen=True, slots=True)
class Winner:
    """The best optimizer on a problem, and its lead.

    Attributes:
        first: The one with the best mean.
        second: The next one; `None` if there is no other.
        difference: How much better the mean of the first is; `None` without a second.
        interval: 95 % confidence interval of that difference; `None` where one of them has fewer
            than `FEWEST_SEEDS`, or some of its seeds fail.
        p_value: That of a difference of 0, adjusted for all `comparisons`; `None` where one of them
            has fewer than `FEWEST_SEEDS`, or they are not comparable.
        comparisons: How many pairs of optimizers were compared, on all problems together.
        rounding: The step from one accuracy to the next, where seeds vary by less, so that the
            interval is that of rounding; else 0.
    """

    first: Summary
    second: Summary | None = None
    difference: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    comparisons: int = 0
    rounding: float = 0.0

    @property
    def is_clear(self) -> bool:
        """Whether the lead is significant, so that other seeds would hardly change it."""
        return self.p_value is not None and self.p_value <= SIGNIFICANT and self.difference != 0

    @property
    def is_comparable(self) -> bool:
        """Whether both were measured by the same function, with or without the regularizer."""
        return self.second is None or are_comparable(self.first, self.second)


def winners(rows: Iterable[Summary] | Results) -> dict[str, Winner]:
    """The best optimizer on each problem, from `summarize` or of results.

    Leads are tested with Holm's correction for all pairs of optimizers on all problems: that any of
    equally good optimizers is said to lead clearly, anywhere, has a probability of at most 5 %.
    """
    by_problem = _by_problem(rows_of(rows))
    adjusted = _adjusted(by_problem)
    return {problem: _winner(those, adjusted) for problem, those in by_problem.items()}


class Contenders(NamedTuple):
    """Which optimizers may be the best.

    Attributes:
        of: On each problem, the one with the best mean and those that are not significantly worse.
        comparisons: How many pairs of optimizers were compared, on all problems together.
        untested: Problems where some pair was not compared, for lack of seeds or comparability.
    """

    of: Mapping[str, frozenset[str]]
    comparisons: int
    untested: list[str]


def contenders(rows: Iterable[Summary] | Results) -> Contenders:
    """Which optimizers on each problem are not significantly worse than the best one.

    Tested as leads are, with Holm's correction for all pairs of optimizers on all problems. One
    that cannot be compared with the best one is no contender, unless their means are equal.
    """
    by_problem = _by_problem(rows_of(rows))
    adjusted = _adjusted(by_problem)
    found: dict[str, frozenset[str]] = {}
    untested = []
    for problem, those in by_problem.items():
        best = best_of(those)
        p_values = {row.optimizer: adjusted.get(_pair(best, row)) for row in those}
        found[problem] = frozenset(
            row.optimizer for row in those if _may_be_best(row, best, p_values[row.optimizer])
        )
        if any(p_values[row.optimizer] is None for row in those if row is not best):
            untested.append(problem)
    return Contenders(found, len(adjusted), untested)


def winner_in_words(winner: Winner) -> str:
    """The best optimizer on a problem, its lead, and how certain that is."""
    first, second = winner.first, winner.second
    metric = f"test {first.selection.metric.name}"
    best = f"{first.optimizer} has {'the best' if second else 'a'} mean {metric}"
    value = mean_text(first.final, len(first.seeds))
    if second is None:
        return _with_failed(f"{best} of {value}. There is nothing to compare it with.", first)
    if winner.difference == 0:
        return _with_failed(f"{best}, {value}, and {second.optimizer} has the same.", first, second)
    lead = number(winner.difference, 2)
    if winner.interval is not None and winner.difference is not None:
        lead = rounded_text(winner.difference, winner.interval)
    ahead = f"{best}, {value}, ahead of {second.optimizer} by {lead}"
    if not winner.is_comparable:
        sentence = f"{ahead}. They cannot be compared: one of the losses includes the regularizer."
        return _with_failed(sentence, first, second)
    if winner.p_value is None:
        sentence = f"{ahead}. There are too few seeds to tell whether other seeds would agree."
        return _with_failed(sentence, first, second)
    if winner.interval is not None:
        fewest = min(len(first.seeds), len(second.seeds))
        ahead = f"{ahead}, 95 % interval {interval_text(winner.interval, fewest)}"
    if winner.rounding:
        ahead = f"{ahead}. {rounding_text(winner.rounding)}"
    return _with_failed(f"{ahead}. The lead {_clarity(winner)}.", first, second)


def _clarity(winner: Winner) -> str:
    if winner.is_clear:
        return "is clear"
    interval, p_value = winner.interval, winner.p_value
    # Beside an interval without 0, which is of this pair alone, the verdict would contradict it.
    if interval is not None and interval.low > 0 and p_value is not None:
        tests = counted(winner.comparisons, "comparison")
        return f"is not clear after correction for {tests} (p = {number(p_value, 2)})"
    return "could be due to the seeds"


def target_in_words(row: Summary) -> str:
    """What counts as solved on a problem."""
    if row.target is None:
        return "There is no target, because half of the seeds of every optimizer diverged."
    metric = f"test {row.selection.metric.name}"
    return f"The target is a {metric} of {number(row.target.value)}, {row.target.source}."


def comparison_in_words(
    results: Results, rows: Sequence[Summary], best: Mapping[str, Winner]
) -> list[str]:
    """Sentences on what was compared, with how many runs, and who wins where."""
    if not rows:
        return [f"Of {counted(len(results.runs), 'run')}, none measured the test set."]
    optimizers = results.optimizers
    what = "was run" if len(optimizers) == 1 else "were compared"
    sentences = [
        f"{listed(optimizers)} {what} on {counted(len(best), 'test problem')}, in "
        f"{counted(len(results.runs), 'run')}. For each, one configuration is shown, with "
        f"{seeds_text(len(row.seeds) for row in rows)}."
    ]
    marks = {suffix_of(row.optimizer).strip() for row in rows if row.selection.is_reference}
    if marks:
        sentences.append(f"Optimizers marked {listed(sorted(marks))} belong to a reference set.")
    compared = {problem: winner for problem, winner in best.items() if winner.second is not None}
    if compared:
        sentences += _wins(compared)
    if results.unusable:
        sentences.append(f"{counted(len(results.unusable), 'file')} could not be used.")
    return sentences


def _by_problem(rows: Iterable[Summary]) -> dict[str, list[Summary]]:
    found: dict[str, list[Summary]] = defaultdict(list)
    for row in rows:
        found[row.problem].append(row)
    return found


def _adjusted(by_problem: Mapping[str, Sequence[Summary]]) -> dict[_Pair, float]:
    """The p-values of all pairs that can be compared, corrected for all of them."""
    raw = {
        _pair(first, second): _p_value(first, second)
        for those in by_problem.values()
        for first, second in combinations(those, 2)
        if min(len(first.seeds), len(second.seeds)) >= FEWEST_SEEDS
        and are_comparable(first, second)
    }
    return dict(zip(raw, holm(list(raw.values())), strict=True))


def _may_be_best(row: Summary, best: Summary, p_value: float | None) -> bool:
    if row is best:
        return True
    if p_value is not None:
        return p_value > SIGNIFICANT
    return are_comparable(row, best) and same(row.final.mean, best.final.mean)


def _winner(rows: list[Summary], p_values: Mapping[_Pair, float]) -> Winner:
    first = best_of(rows)
    others = [row for row in rows if row is not first]
    if not others:
        return Winner(first)
    second = best_of(others)
    pair, better = _finals(first, second), first.higher_is_better
    p_value = p_values.get(_pair(first, second))
    interval, rounding = None, 0.0
    # Over failing and other seeds, a mean depends on how many of both there happen to be, which
    # an interval from so few cannot tell.
    if p_value is not None and not (first.failed or second.failed):
        paired, step = first.seeds == second.seeds, resolution_of(first, second)
        interval = difference_interval(
            *pair, higher_is_better=better, paired=paired, resolution=step
        )
        own, other = pair[0][0], pair[1][0]
        if varies_less_than_rounding(own, other, paired=paired, resolution=step):
            rounding = step
    is_tie = same(first.final.mean, second.final.mean)
    difference = 0.0 if is_tie else float(performance_difference(*pair, higher_is_better=better))
    return Winner(first, second, difference, interval, p_value, len(p_values), rounding)


def are_comparable(first: Summary, second: Summary) -> bool:
    """Whether two optimizers were measured by the same function."""
    return first.higher_is_better or first.has_bare_losses == second.has_bare_losses


def resolution_of(first: Summary, second: Summary) -> float:
    """The step from one possible performance of two optimizers to the next; 0 for losses."""
    # The finer one: few values of an optimizer that learns nothing have a coarser step in common.
    known = (row.selection.resolution() for row in (first, second))
    return min((step for step in known if step), default=0.0)


def _pair(first: Summary, second: Summary) -> _Pair:
    return first.problem, frozenset((first.optimizer, second.optimizer))


def _finals(first: Summary, second: Summary) -> tuple[list[Floats], list[Floats]]:
    """The final performances of two optimizers, sorted by seed, as scores of one problem."""
    return [first.selection.final()], [second.selection.final()]


def _p_value(first: Summary, second: Summary) -> float:
    found = difference_p_value(
        *_finals(first, second),
        higher_is_better=first.higher_is_better,
        paired=first.seeds == second.seeds,
        resolution=resolution_of(first, second),
    )
    assert found is not None  # noqa: S101 # both have several seeds
    return found


def _with_failed(sentence: str, *rows: Summary) -> str:
    failed = [f"Of {row.optimizer}, {failed_text(row)}." for row in rows if row.failed]
    return " ".join([sentence, *failed])


def _wins(best: Mapping[str, Winner]) -> list[str]:
    """Who wins on how many problems, and where that is uncertain."""
    leads = {problem: winner for problem, winner in best.items() if winner.difference != 0}
    by_name: dict[str, list[str]] = defaultdict(list)
    for problem, winner in leads.items():
        by_name[winner.first.optimizer].append(problem)
    sentences = []
    if by_name:
        most_first = sorted(by_name.items(), key=lambda item: -len(item[1]))
        wins = [f"on {counted(len(of), 'problem')} ({listed(of)})" for _, of in most_first]
        firsts = [f"{most_first[0][0]} has the best mean test performance {wins[0]}"]
        others = [f"{name} {on}" for (name, _), on in zip(most_first[1:], wins[1:], strict=True)]
        sentences.append(f"{listed([*firsts, *others])}.")
    tied = [problem for problem in best if problem not in leads]
    if tied:
        sentences.append(f"On {listed(tied)}, the best are equal: there is no lead.")
    return [*sentences, *_verdicts(leads, is_everywhere=not tied)]


def _verdicts(leads: Mapping[str, Winner], *, is_everywhere: bool) -> list[str]:
    """Where leads could be due to the seeds, and what that was corrected for."""
    problems: dict[str, list[str]] = defaultdict(list)
    for problem, winner in leads.items():
        problems[_verdict(winner)].append(problem)
    sentences = []
    for verdict, those in problems.items():
        everywhere = is_everywhere and len(problems) == 1
        where = "On all problems" if everywhere and len(those) > 1 else f"On {listed(those)}"
        sentences.append(f"{where}, {verdict}.")
    tested = [winner for winner in leads.values() if winner.p_value is not None]
    if tested:
        sentences.append(
            f"Tests are corrected for {counted(tested[0].comparisons, 'comparison')} (all pairs "
            "of optimizers on all problems, by Holm's method): if optimizers are equally good, at "
            "most 5 % of such reports call any lead larger than seeds explain."
        )
    return sentences


def _verdict(winner: Winner) -> str:
    if not winner.is_comparable:
        return "the best two cannot be compared: one of the losses includes the regularizer"
    if winner.p_value is None:
        return f"there are fewer than {FEWEST_SEEDS} seeds: nothing can be said about the lead"
    if winner.is_clear:
        return "the lead is larger than seeds explain"
    return "the lead over the second could be due to the seeds"
