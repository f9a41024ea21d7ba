"""The performance that counts as solving a problem, and where that number comes from."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepobs.plugins import registry
from deepobs_analysis.measures import target_performance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deepobs_analysis.selection import Selection

PUBLISHED = "published with the problem"
FROM_REFERENCE = "1 % short of the median seed of the best optimizer of the reference set"
FROM_RESULTS = "1 % short of the median seed of the best optimizer of these results"

_TOLERANCE = 0.01  # else half of the seeds of the best optimizer would miss the target


@dataclass(frozen=True, slots=True)
class Target:
    """A performance to reach.

    Attributes:
        value: In the unit of the problem's metric.
        source: Where it comes from, in a few words.
    """

    value: float
    source: str


def targets(selections: Iterable[Selection]) -> dict[str, Target]:
    """The target of each problem.

    It is the one that was published with the problem, where its package is installed and states
    one. Else it is made by the rule of `measures.target_performance` from the final performances of
    the reference set, or without one from these results.

    Args:
        selections: From `select`, those of a reference set among them.

    Returns:
        A target for each problem; none where half of the seeds of every optimizer diverged.
    """
    by_problem: dict[str, list[Selection]] = defaultdict(list)
    for selection in selections:
        by_problem[selection.problem].append(selection)
    found = {problem: _target(problem, those) for problem, those in by_problem.items()}
    return {problem: target for problem, target in found.items() if target is not None}


def sources_in_words(targets: Mapping[str, Target]) -> list[str]:
    """Sentences that say where targets come from, and of which problems where they differ.

    Args:
        targets: By problem, as the problem is to be called.
    """
    problems: dict[str, list[str]] = defaultdict(list)
    for problem, target in targets.items():
        problems[target.source].append(problem)
    if len(problems) == 1:
        return [f"Target {source}." for source in problems]
    return [f"Target {source}: {', '.join(those)}." for source, those in problems.items()]


def _target(problem: str, selections: list[Selection]) -> Target | None:
    published = _published(problem)
    if published is not None:
        return Target(published, PUBLISHED)
    reference = [each for each in selections if each.is_reference]
    performances = [each.final_or_worst() for each in reference or selections]
    higher_is_better = selections[0].metric.higher_is_better
    if not any(np.isfinite(each).mean() > 1 / 2 for each in performances):
        return None
    value = target_performance(
        performances, higher_is_better=higher_is_better, tolerance=_TOLERANCE
    )
    return Target(value, FROM_REFERENCE if reference else FROM_RESULTS)


def _published(problem: str) -> float | None:
    offer = registry().problems.find(problem)
    return None if offer is None else offer.spec.target_performance
