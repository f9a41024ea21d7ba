"""The best optimizer on each problem, whether seeds alone could explain it, and both in words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from deepobs.console.text import counted
from deepobs_analysis.measures import performance_difference, stratified_bootstrap
from deepobs_analysis.summaries import best_of
from deepobs_analysis.wording import interval_text, listed, mean_text, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs_analysis.measures import Interval
    from deepobs_analysis.results import Results
    from deepobs_analysis.summaries import Summary

FEWEST_SEEDS = 3
"""With fewer seeds, nothing is said about other seeds."""


@dataclass(frozen=True, slots=True)
class Winner:
    """The best optimizer on a problem, and its lead.

    Attributes:
        first: The one with the best mean.
        second: The next one; `None` if there is no other.
        difference: How much better the mean of the first is; `None` without a second.
        interval: 95 % confidence interval of that difference, by a bootstrap over seeds; `None`
            where one of them has fewer than `FEWEST_SEEDS`.
    """

    first: Summary
    second: Summary | None = None
    difference: float | None = None
    interval: Interval | None = None

    @property
    def is_clear(self) -> bool:
        """Whether other seeds would hardly change it."""
        return self.interval is not None and self.interval.low > 0


def winners(rows: Iterable[Summary]) -> dict[str, Winner]:
    """The best optimizer on each problem, from `summarize`."""
    by_problem: dict[str, list[Summary]] = {}
    for row in rows:
        by_problem.setdefault(row.problem, []).append(row)
    return {problem: _winner(those) for problem, those in by_problem.items()}


def winner_in_words(winner: Winner) -> str:
    """The best optimizer on a problem, its lead, and how certain that is."""
    first, second = winner.first, winner.second
    metric = f"test {first.selection.metric.name}"
    best = f"{first.optimizer} has {'the best' if second else 'a'} mean {metric}"
    value = mean_text(first.final, len(first.seeds))
    if second is None:
        return f"{best} of {value}. There is nothing to compare it with."
    if winner.difference == 0:
        return f"{best}, {value}, and {second.optimizer} the same."
    ahead = f"{best}, {value}, ahead of {second.optimizer} by {number(winner.difference, 2)}"
    if winner.interval is None:
        return f"{ahead}. There are too few seeds to tell whether others would agree."
    verdict = "is clear" if winner.is_clear else "could be due to the seeds"
    return f"{ahead}, 95 % interval {interval_text(winner.interval)}. The lead {verdict}."


def target_in_words(row: Summary) -> str:
    """What counts as solved on a problem."""
    if row.target is None:
        return "There is no target, as half of the seeds of every optimizer diverged."
    metric = f"test {row.selection.metric.name}"
    return f"The target is a {metric} of {number(row.target.value)}, {row.target.source}."


def comparison_in_words(
    results: Results, rows: Sequence[Summary], best: Mapping[str, Winner]
) -> list[str]:
    """Sentences on what was compared, with how many runs, and who wins where."""
    if not rows:
        return [f"Of {counted(len(results.runs), 'run')}, none measured the test set."]
    optimizers = results.optimizers
    seeds = sorted({len(row.seeds) for row in rows})
    number_of_seeds = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    what = "was run" if len(optimizers) == 1 else "were compared"
    sentences = [
        f"{listed(optimizers)} {what} on {counted(len(best), 'test problem')}, in "
        f"{counted(len(results.runs), 'run')}. For each, one configuration is shown, with "
        f"{number_of_seeds} {'seed' if seeds == [1] else 'seeds'}."
    ]
    if any(row.selection.is_reference for row in rows):
        sentences.append("Optimizers marked (reference) belong to a reference set.")
    compared = {problem: winner for problem, winner in best.items() if winner.second is not None}
    if compared:
        sentences += _wins(compared)
    if results.skipped:
        sentences.append(f"{counted(len(results.skipped), 'file')} could not be used.")
    return sentences


def _winner(rows: list[Summary]) -> Winner:
    first = best_of(rows)
    others = [row for row in rows if row is not first]
    if not others:
        return Winner(first)
    second = best_of(others)
    measure = partial(performance_difference, higher_is_better=first.higher_is_better)
    both = [[row.selection.final()] for row in (first, second)]
    interval = None
    # From one or two seeds the bootstrap draws hardly any variation, and any lead looks clear.
    if min(len(first.seeds), len(second.seeds)) >= FEWEST_SEEDS:
        interval = stratified_bootstrap(measure, *both, generator=np.random.default_rng(0))
    return Winner(first, second, float(measure(*both)), interval)


def _wins(best: Mapping[str, Winner]) -> list[str]:
    """Who wins on how many problems, and where that is uncertain."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for problem, winner in best.items():
        by_name[winner.first.optimizer].append(problem)
    most_first = sorted(by_name.items(), key=lambda item: -len(item[1]))
    wins = [f"on {counted(len(of), 'problem')} ({listed(of)})" for _, of in most_first]
    firsts = [f"{most_first[0][0]} has the best mean test performance {wins[0]}"]
    others = [f"{name} {on}" for (name, _), on in zip(most_first[1:], wins[1:], strict=True)]
    sentences = [f"{listed([*firsts, *others])}."]
    unclear = [name for name, winner in best.items() if winner.interval and not winner.is_clear]
    unknown = [name for name, winner in best.items() if winner.interval is None]
    if unclear:
        sentences.append(
            f"On {listed(unclear)}, the lead over the second could be due to the seeds: its 95 % "
            "interval includes 0."
        )
    if len(best) > len(unclear) + len(unknown):
        rest = "On the others" if unclear or unknown else "Everywhere"
        sentences.append(f"{rest}, the lead is larger than seeds explain.")
    if unknown:
        sentences.append(
            f"With fewer than {FEWEST_SEEDS} seeds, nothing can be said about the lead on "
            f"{listed(unknown)}."
        )
    return sentences
