"""Two optimizers compared: how much better one is, how certain that is, and how often it wins."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs.errors import ArgumentError, UnknownNameError, closest, joined, sentences
from deepobs_analysis.compared_sides import Source, sides
from deepobs_analysis.matches import Comparison, Match
from deepobs_analysis.measures import (
    Estimate,
    difference_interval,
    difference_p_value,
    holm,
    improvement_interval,
    normalized,
    performance_difference,
    probability_of_improvement,
    varies_less_than_rounding,
)
from deepobs_analysis.measures.arrays import same
from deepobs_analysis.protocol_differences import budget_differences, differences
from deepobs_analysis.results import kind_of
from deepobs_analysis.run_protocols import version_of_problem
from deepobs_analysis.winners import FEWEST_SEEDS, are_comparable, resolution_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deepobs_analysis.compared_sides import Side
    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.selection import Mode
    from deepobs_analysis.summaries import Summary


def compare(
    first: str,
    second: str,
    results: str | os.PathLike[str] = "results",
    *,
    problems: Iterable[str] = (),
    reference: str | os.PathLike[str] | None = None,
    mode: Mode = "most",
    **options: Any,
) -> Comparison:
    """Compare two optimizers, references, versions of code, experiments or directories.

    Each of the two is the name or label of an optimizer in `results`; "Adam (published)", of the
    published results or, with its name, of another reference set; "Adam (in earlier)", of the
    results in `reference`; "Mine@newest", "Mine@older" or "Mine@1f3c", a version of one's own code;
    or, both of them, a directory of results or an experiment file, of which the optimizers that
    both have are compared.

    Args:
        first: What is compared.
        second: What it is compared with.
        results: The directory, or an experiment file.
        problems: Names of test problems; all that both were run on by default.
        reference: Another reference set, as `load_reference` takes it.
        mode: How configurations are chosen; see `select`.
        **options: Arguments of `load`: `across_protocols=True` compares runs with other numbers of
            epochs, batch sizes or training examples, too, and `output_dir` is where the results of
            experiment files are.

    Raises:
        ArgumentError: Something is neither a name nor a path.
        DeepOBSError: Something is not known, or there is nothing to compare.
    """
    for given in (first, second, results):
        if not isinstance(given, (str, os.PathLike)):
            raise ArgumentError(
                "Give the names of two optimizers, and the path of the directory or experiment "
                f"file with their results, which are read from there; got {kind_of(given)}."
            )
    wanted = [problems] if isinstance(problems, str) else list(problems)
    source = Source(
        path=Path(results),
        reference=reference,
        options=options,
        mode=mode,
    )
    across_protocols = bool(options.get("across_protocols"))
    found = sides(str(first), str(second), source)
    skipped: dict[str, str] = {}
    pairs = [
        pair for each in found for pair in _on_problems(*each, wanted, skipped, across_protocols)
    ]
    if not pairs:
        reasons = [f"{problem}: {reason}." for problem, reason in skipped.items()]
        raise ArgumentError(
            sentences(f"There is nothing to compare {first} and {second} by.", *reasons)
        )
    matches = _matches(pairs)
    return Comparison(
        matches,
        _difference_over_all(pairs) if len(pairs) > 1 else None,
        _probability(pairs) if len(pairs) > 1 else None,
        skipped,
        tuple(source.warnings),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two rows that are compared, and the final performances that their difference is of."""

    problem: str
    names: tuple[str, str]
    rows: tuple[Summary, Summary]
    finals: tuple[Floats, Floats]
    is_paired: bool

    @property
    def seeds(self) -> int:
        return min(map(len, self.finals))

    @property
    def is_tested(self) -> bool:
        return self.seeds >= FEWEST_SEEDS and are_comparable(*self.rows)

    @property
    def has_interval(self) -> bool:
        # Over failing and other seeds, a mean depends on how many of both there happen to be.
        return self.is_tested and not any(row.failed for row in self.rows)

    @property
    def resolution(self) -> float:
        return resolution_of(*self.rows)

    @property
    def rounding(self) -> float:
        step = self.resolution
        is_rounding = self.has_interval and varies_less_than_rounding(
            *self.finals, paired=self.is_paired, resolution=step
        )
        return step if is_rounding else 0.0


def _on_problems(
    first: Side,
    second: Side,
    problems: Sequence[str],
    skipped: dict[str, str],
    across_protocols: bool,
) -> Iterator[_Pair]:
    """The rows of both on the same problems by the same protocols."""
    theirs = defaultdict(list)
    for row in second.rows:
        theirs[row.selection.testproblem].append(row)
    _require_problems(problems, first, second)
    for row in first.rows:
        testproblem = row.selection.testproblem
        if problems and not {row.problem, testproblem} & set(problems):
            continue
        if testproblem not in theirs:
            if row.selection.is_reference:
                continue
            skipped[row.problem] = f"{second.name} was not run on it"
            continue
        # Names do not tell: those of two directories with one protocol each hold no protocol.
        alike = [
            other
            for other in theirs[testproblem]
            if across_protocols or not budget_differences(row.selection, other.selection)
        ]
        # Of several versions of the code of a problem, each is compared by itself.
        version = _version_of_problem(row)
        alike = [other for other in alike if _version_of_problem(other) == version] or alike
        for other in alike:
            yield _pair(row, other, (first.name, second.name))
        if not alike:
            found = budget_differences(row.selection, theirs[testproblem][0].selection)
            words = ", ".join(f"{each.what} {each.first} and {each.second}" for each in found)
            skipped[row.problem] = (
                f"{first.name} and {second.name} were run under other protocols ({words}); "
                "--across-protocols compares them"
            )
    known = {row.selection.testproblem for row in first.rows}
    for row in second.rows:
        is_asked = not problems and not row.selection.is_reference
        if row.selection.testproblem not in known and is_asked:
            skipped[row.problem] = f"{first.name} was not run on it"


def _version_of_problem(row: Summary) -> str:
    return version_of_problem(row.selection.rows.first("code"))


def _require_problems(problems: Sequence[str], *both: Side) -> None:
    rows = [row for each in both for row in each.rows]
    known = {name for row in rows for name in (row.problem, row.selection.testproblem)}
    for problem in problems:
        if problem not in known:
            message = f"{both[0].name} and {both[1].name} were not run on {problem!r}."
            every = f"Known: {joined(sorted(known))}."
            raise UnknownNameError(sentences(message, closest(problem, known), every))


def _pair(first: Summary, second: Summary, names: tuple[str, str]) -> _Pair:
    finals = first.selection.final(), second.selection.final()
    formats = {name for row in (first, second) for name in row.selection.runs["format"]}
    shared = sorted(set(first.seeds) & set(second.seeds))
    # A seed draws the same numbers only within this version.
    is_paired = len(shared) >= FEWEST_SEEDS and formats == {"own"}
    if is_paired:
        own, other = (
            values[[row.seeds.index(seed) for seed in shared]]
            for values, row in zip(finals, (first, second), strict=True)
        )
        finals = own, other
    return _Pair(first.problem, names, (first, second), finals, is_paired)


def _matches(pairs: Sequence[_Pair]) -> list[Match]:
    # Together: of many problems tested one by one, one would be called clear by chance.
    tested = {place: _p_value(pair) for place, pair in enumerate(pairs) if pair.is_tested}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [
        Match(
            pair.problem,
            pair.names,
            pair.rows,
            pair.is_paired,
            _difference(pair),
            _probability([pair]),
            adjusted.get(place),
            tuple(differences(pair.rows[0].selection, pair.rows[1].selection)),
            pair.rounding,
        )
        for place, pair in enumerate(pairs)
    ]


def _p_value(pair: _Pair) -> float:
    found = difference_p_value(
        *([each] for each in pair.finals),
        higher_is_better=pair.rows[0].higher_is_better,
        paired=pair.is_paired,
        resolution=pair.resolution,
    )
    assert found is not None  # noqa: S101 # both have several seeds
    return found


def _difference(pair: _Pair) -> Estimate:
    own, other = pair.finals
    direction = pair.rows[0].higher_is_better
    value = float(performance_difference([own], [other], higher_is_better=direction))
    if same(float(own.mean()), float(other.mean())):
        value = 0.0
    interval = None
    if pair.has_interval:
        interval = difference_interval(
            [own],
            [other],
            higher_is_better=direction,
            paired=pair.is_paired,
            resolution=pair.resolution,
        )
    return Estimate(value, interval, pair.seeds)


def _probability(pairs: Sequence[_Pair]) -> Estimate:
    # By all seeds of both, of which those that diverged lose.
    own, other = ([each.rows[i].selection.final_or_worst() for each in pairs] for i in (0, 1))
    directions = [each.rows[0].higher_is_better for each in pairs]
    is_comparable = all(are_comparable(*each.rows) for each in pairs)
    return Estimate(
        float(probability_of_improvement(own, other, higher_is_better=directions)),
        improvement_interval(own, other, higher_is_better=directions) if is_comparable else None,
        min(map(len, [*own, *other])),
    )


def _difference_over_all(pairs: Sequence[_Pair]) -> Estimate | None:
    """The mean difference as a share of what training gains for the better one."""
    # Losses have other scales on every problem: their mean would be that of the largest.
    scaled = [scores for pair in pairs if (scores := _scaled(pair)) is not None]
    if not scaled:
        return None
    own, other, steps = zip(*scaled, strict=True)
    interval = None
    if all(pair.has_interval for pair in pairs):
        paired = all(pair.is_paired for pair in pairs)
        interval = difference_interval(
            own, other, higher_is_better=True, paired=paired, resolution=steps
        )
    value = float(performance_difference(own, other, higher_is_better=True))
    return Estimate(value, interval, min(map(len, [*own, *other])))


def _scaled(pair: _Pair) -> tuple[Floats, Floats, float] | None:
    """Final performances, 0 for an untrained model and 1 for the better mean; their step."""
    direction = pair.rows[0].higher_is_better
    before = [row.selection.curves()[:, 0] for row in pair.rows]
    untrained = float(np.concatenate(before).mean())
    means = [float(values.mean()) for values in pair.finals]
    best = max(means) if direction else min(means)
    if same(best, untrained) or (best > untrained) != direction:
        return None
    own, other = (
        np.asarray(normalized(values, untrained=untrained, target=best, higher_is_better=direction))
        for values in pair.finals
    )
    return own, other, pair.resolution / abs(best - untrained)
