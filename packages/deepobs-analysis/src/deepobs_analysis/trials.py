"""All configurations of an optimizer on a problem, and how each performed."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs.checks import is_number
from deepobs_analysis.computed_once import once
from deepobs_analysis.measures import (
    decades_within,
    expected_best_of,
    mean_and_deviation,
    share_diverged,
)
from deepobs_analysis.results import Metric
from deepobs_analysis.run_rows import rows_of_pair
from deepobs_analysis.selection import (
    configuration_performances,
    higher_is_better,
    performances,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.results import Results
    from deepobs_analysis.run_rows import Rows
    from deepobs_analysis.selection import Mode, Selection

BUDGET = 5
"""The number of random configurations whose expected best is reported."""


@dataclass(frozen=True)
class Attempt:
    """A configuration that was run.

    Attributes:
        configuration: The configuration, in words.
        hyperparameters: Its hyperparameters.
        seeds: Its seeds.
        performances: Test performance of each seed, by the metric of the problem; that before
            training where it diverged.
        has_diverged: Whether any of its seeds did.
    """

    configuration: str
    hyperparameters: Mapping[str, Any]
    seeds: tuple[int, ...]
    performances: Floats
    has_diverged: bool

    def only(self, seeds: Collection[int]) -> Attempt:
        """The part with some seeds, of which it has at least one."""
        kept = [place for place, seed in enumerate(self.seeds) if seed in seeds]
        return replace(
            self,
            seeds=tuple(self.seeds[place] for place in kept),
            performances=self.performances[kept],
        )

    def mean_of(self, seeds: Sequence[int]) -> float | None:
        """The mean over some seeds; `None` if one of them is missing."""
        if not set(seeds) <= set(self.seeds):
            return None
        return float(np.mean([self.performances[self.seeds.index(seed)] for seed in seeds]))

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
        return _number(self.hyperparameters, name)


@dataclass(frozen=True, slots=True)
class Trials:
    """What all attempts say about an optimizer on a problem.

    Attributes:
        expected_best: Expected performance of the best of `BUDGET` random configurations, by the
            curve that decided, over their `common_seeds`; `None` where fewer were tried.
        decades: How many orders of magnitude the learning rates around the best one span that come
            within 10 % of it, over the same seeds; `None` without at least two of them.
        share_diverged: The share of runs that diverged, over all configurations.
        runs: How many runs there are.
        learning_rates: The smallest and the largest one that was tried; both NaN without.
        tuning_seeds: The seeds that most configurations were run with, if there was a choice:
            those that decided it.
    """

    expected_best: float | None
    decades: float | None
    share_diverged: float
    runs: int
    learning_rates: tuple[float, float]
    tuning_seeds: tuple[int, ...]


def attempts(
    results: Results, problem: str, optimizer: str, *, mode: Mode = "final"
) -> list[Attempt]:
    """All configurations of an optimizer on a problem in which the test set was measured.

    Args:
        results: The runs.
        problem: Name of the problem.
        optimizer: Name of the optimizer.
        mode: "best" for the best epoch of each run; the last epoch otherwise.
    """
    return once(
        ("attempts", problem, optimizer, mode == "best"),
        lambda: _attempts(results, problem, optimizer, mode),
    )


def _attempts(results: Results, problem: str, optimizer: str, mode: Mode) -> list[Attempt]:
    rows = rows_of_pair(results, problem, optimizer)
    curve = Metric(rows.first("metric")).curve("test")
    measured = rows.having(curve)
    columns = map(measured.each, ("hyperparameters", "seed", "has_diverged"))
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for name, *values in zip(
        measured.each("configuration"), performances(measured, curve, mode), *columns, strict=True
    ):
        found[name].append(tuple(values))
    return [
        Attempt(
            configuration=str(name),
            hyperparameters=those[0][1],
            seeds=tuple(int(seed) for _, _, seed, _ in those),
            performances=np.array([performance for performance, *_ in those]),
            has_diverged=any(has_diverged for *_, has_diverged in those),
        )
        for name, those in sorted(found.items())
    ]


def attempts_as_shown(
    results: Results, selection: Selection, *, mode: Mode = "final"
) -> list[Attempt]:
    """All configurations as `attempts` has them, the selected one by the seeds that are shown.

    Of a tuned optimizer these are the seeds of the report, as in tables.
    """
    tried = attempts(results, selection.problem, selection.optimizer, mode=mode)
    shown = set(selection.rows.each("seed"))
    return [
        each.only(shown) if each.configuration == selection.configuration else each
        for each in tried
    ]


def common_seeds(seeds: Collection[Collection[int]]) -> tuple[int, ...]:
    """The seeds by which configurations can be compared with each other.

    A mean over more seeds is less often a lucky one, and those that were run again are the best.

    Args:
        seeds: Those of each configuration, at least one.

    Returns:
        Those that all of them were run with, sorted; the one that most were, if there are none.
    """
    counts = Counter(seed for those in seeds for seed in set(those))
    most = max(counts.values())
    shared = sorted(seed for seed, count in counts.items() if count == most)
    return tuple(shared) if most == len(seeds) else (shared[0],)


def best_at(
    tried: Iterable[Attempt], names: Sequence[str], metric: Metric
) -> dict[tuple[float, ...], Attempt]:
    """The best attempt with each combination of values of some hyperparameters, sorted.

    Attempts in which one of them is not a number are skipped.
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


def trials_of(selection: Selection, runs: Rows) -> Trials:
    """Sum up all runs of the optimizer of a selection on its problem."""
    curve = selection.chosen_by
    measured = runs.having(curve)
    seeds_of: dict[str, set[int]] = defaultdict(set)
    found: dict[str, float | None] = {}
    for name, seed, hyperparameters in zip(
        *map(measured.each, ("configuration", "seed", "hyperparameters")), strict=True
    ):
        seeds_of[name].add(seed)
        found.setdefault(name, _number(hyperparameters, "lr"))
    seeds = common_seeds(seeds_of.values())
    of_seeds = measured.part(np.isin(measured["seed"], seeds))
    compared = configuration_performances(of_seeds, curve, mode=selection.mode)
    means = np.array([each.mean for each in compared.values()])
    rates = np.array([np.nan if rate is None else rate for rate in found.values()])
    of_compared = np.array([np.nan if found[n] is None else found[n] for n in compared])
    return Trials(
        expected_best=_expected_best(means, curve),
        decades=_decades(of_compared, means, curve),
        share_diverged=share_diverged(runs["has_diverged"]),
        runs=len(runs),
        learning_rates=(float(rates.min()), float(rates.max())),
        tuning_seeds=_tuning_seeds(runs),
    )


def _number(hyperparameters: Mapping[str, Any], name: str) -> float | None:
    value = hyperparameters.get(name)
    return float(value) if is_number(value) else None


def _expected_best(means: Floats, curve: str) -> float | None:
    if len(means) < BUDGET:
        return None
    return expected_best_of(means, BUDGET, higher_is_better=higher_is_better(curve))


def _decades(rates: Floats, means: Floats, curve: str) -> float | None:
    if not (rates > 0).all() or len(np.unique(rates)) < 2:
        return None
    return decades_within(rates, means, higher_is_better=higher_is_better(curve))


def _tuning_seeds(runs: Rows) -> tuple[int, ...]:
    configurations = len(set(runs["configuration"]))
    if configurations < 2:
        return ()
    tried: dict[int, set[str]] = defaultdict(set)
    for seed, name in zip(runs.each("seed"), runs.each("configuration"), strict=True):
        tried[int(seed)].add(name)
    # Winners are often run again with more seeds: those are seeds of few configurations.
    return tuple(sorted(seed for seed, those in tried.items() if len(those) > configurations / 2))
