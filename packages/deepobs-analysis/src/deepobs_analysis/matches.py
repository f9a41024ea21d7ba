"""What comparisons of two optimizers find, as numbers for JSON and as tables for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.console.screen import Column, render
from deepobs.console.text import counted
from deepobs.errors import joined
from deepobs.html_views import grid, notes_below
from deepobs_analysis.winners import FEWEST_SEEDS, SIGNIFICANT
from deepobs_analysis.wording import (
    MISSING,
    estimate_or_missing,
    listed,
    number,
    performance_text,
    rounding_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deepobs_analysis.measures import Estimate
    from deepobs_analysis.protocol_differences import Difference
    from deepobs_analysis.summaries import Summary


@dataclass(frozen=True, slots=True)
class Match:
    """Two optimizers on a problem.

    Attributes:
        problem: The test problem.
        names: What the two are called.
        rows: How they performed.
        is_paired: Whether the difference is between runs of the same seeds.
        difference: How much better the mean of the first is, in the unit of the metric; without an
            interval where one of them has fewer than `FEWEST_SEEDS`, or some of its seeds fail.
        probability: How probable it is that a seed of the first ends better than one of the second.
        p_value: That of a difference of 0, corrected for all matches (Holm); `None` where one of
            the two has fewer than `FEWEST_SEEDS`, or they are not comparable.
        differing: What else than the optimizer differs.
        rounding: The step from one accuracy to the next, where seeds vary by less, so that the
            interval is that of rounding; else 0.
    """

    problem: str
    names: tuple[str, str]
    rows: tuple[Summary, Summary]
    is_paired: bool
    difference: Estimate
    probability: Estimate
    p_value: float | None
    differing: tuple[Difference, ...]
    rounding: float = 0.0

    @property
    def better(self) -> str | None:
        """The name of the one that is significantly better, if any."""
        if self.p_value is None or self.p_value > SIGNIFICANT or self.difference.value == 0:
            return None
        return self.names[self.difference.value < 0]


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """Two optimizers, or two sets of them, on all problems that both were run on.

    As text it is its table; notebooks show the notes below, too.

    Attributes:
        matches: One for each problem and pair.
        difference: The mean over matches, as a share of what training gains; `None` for one match.
        probability: The mean over matches; `None` for one match.
        skipped: Problems that do not count, and why.
        warnings: What there is to know about the results, such as files that are skipped.
    """

    matches: Sequence[Match]
    difference: Estimate | None
    probability: Estimate | None
    skipped: Mapping[str, str]
    warnings: Sequence[str] = ()

    def __repr__(self) -> str:
        lines = []
        for columns, rows in self.tables():
            heading, below = render(columns, rows, None)
            lines.append("\n".join([heading, *below]))
        return "\n\n".join(lines)

    def _repr_html_(self) -> str:
        grids = [
            grid("", [each.heading for each in columns], rows) for columns, rows in self.tables()
        ]
        return "\n".join([*grids, notes_below([*self.notes, *self.skipped_in_words()])])

    def tables(self) -> Iterator[tuple[list[Column], list[list[str]]]]:
        """The columns and the rows of the table of each pair of optimizers."""
        has_several = sum(each.p_value is not None for each in self.matches) > 1
        p_value = "CORRECTED P" if has_several else "P"
        for names in dict.fromkeys(each.names for each in self.matches):
            columns = [
                Column("PROBLEM"),
                *(Column(name, is_number=True) for name in names),
                Column("DIFFERENCE"),
                Column("BETTER SEED"),
                Column(p_value, is_number=True),
                Column("VERDICT"),
            ]
            yield columns, [_row(each) for each in self.matches if each.names == names]

    @property
    def notes(self) -> list[str]:
        """The sentences below the table: over all problems, what differs, and what numbers are."""
        return [*_over_all(self), *_differing(self.matches), *_meanings(self.matches)]

    def skipped_in_words(self) -> list[str]:
        """Which problems do not count, a sentence for each reason."""
        by_reason: dict[str, list[str]] = {}
        for problem, reason in self.skipped.items():
            by_reason.setdefault(reason, []).append(problem)
        return [f"{joined(those)}: {reason}." for reason, those in by_reason.items()]

    def as_dict(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        over_all = {"difference": self.difference, "probability": self.probability}
        return {
            "matches": [
                {
                    "problem": each.problem,
                    "first": _side_as_dict(each.names[0], each.rows[0]),
                    "second": _side_as_dict(each.names[1], each.rows[1]),
                    "metric": each.rows[0].selection.metric.name,
                    "is_paired": each.is_paired,
                    "difference": _estimate_as_dict(each.difference),
                    "probability": _estimate_as_dict(each.probability),
                    "p_value": each.p_value,
                    "better": each.better,
                    "differing": [dict(one._asdict()) for one in each.differing],
                }
                for each in self.matches
            ],
            "over_all": {
                name: None if each is None else _estimate_as_dict(each)
                for name, each in over_all.items()
            },
            "skipped": dict(self.skipped),
            "warnings": list(self.warnings),
        }


def _estimate_as_dict(estimate: Estimate) -> dict[str, Any]:
    interval = None if estimate.interval is None else list(estimate.interval)
    return {"value": estimate.value, "interval": interval, "seeds": estimate.seeds}


def _side_as_dict(name: str, row: Summary) -> dict[str, Any]:
    return {
        "name": name,
        "configuration": row.selection.configuration,
        "mean": row.final.mean,
        "deviation": row.final.deviation,
        "failed": row.failed,
        "seeds": list(row.seeds),
    }


def _row(match: Match) -> list[str]:
    return [
        match.problem,
        *map(performance_text, match.rows),
        _estimate(match.difference, has_sign=True),
        _estimate(match.probability),
        MISSING if match.p_value is None else number(match.p_value, 2),
        _verdict(match),
    ]


def _estimate(estimate: Estimate | None, *, has_sign: bool = False) -> str:
    text = estimate_or_missing(estimate)
    return f"+{text}" if has_sign and estimate is not None and estimate.value > 0 else text


def _verdict(match: Match) -> str:
    if match.better is not None:
        return f"{match.better} is better"
    if match.difference.value == 0:
        return "equal"
    if match.p_value is not None:
        interval = match.difference.interval
        # Beside an interval without 0, which is of this problem alone, it would look contradictory.
        if interval is not None and not interval.low <= 0 <= interval.high:
            return "not clear after correction"
        return "could be due to the seeds"
    if match.difference.seeds < FEWEST_SEEDS:
        return f"fewer than {FEWEST_SEEDS} seeds"
    return "losses with and without the regularizer"


def _over_all(comparison: Comparison) -> list[str]:
    matches, probability = comparison.matches, comparison.probability
    if probability is None:
        return []
    is_single = len({each.names for each in matches}) == 1
    first, second = matches[0].names if is_single else ("the first", "the second")
    ahead = sum(each.difference.value > 0 for each in matches)
    clear = [sum(each.better == each.names[place] for each in matches) for place in (0, 1)]
    return [
        f"Over {counted(len(matches), 'comparison')}: {first} has the better mean in {ahead}; it "
        f"is significantly better in {clear[0]}, and {second} in {clear[1]}.",
        f"A seed of {first} ends better with a probability of {_estimate(probability)}.",
        f"The mean difference is {_estimate(comparison.difference, has_sign=True)}, where 1 is all "
        "that training gains for the better one.",
    ]


def _differing(matches: Sequence[Match]) -> list[str]:
    """What else differs; of several problems with the same differences, in one sentence."""
    problems: dict[str, dict[str, None]] = {}
    for match in matches:
        if match.differing:
            words = "; ".join(
                f"{what} {first} against {second}" for what, first, second in match.differing
            )
            problems.setdefault(words, {})[match.problem] = None
    return [f"Run differently on {listed(those)}: {words}." for words, those in problems.items()]


def _meanings(matches: Sequence[Match]) -> list[str]:
    paired = list(dict.fromkeys(each.problem for each in matches if each.is_paired))
    how = "by Welch's t"
    if paired:
        is_everywhere = all(each.is_paired for each in matches)
        where = "" if is_everywhere else f" on {listed(paired)}, else by Welch's t"
        how = f"paired by shared seeds{where}"
    sentences = [
        "Means ± population standard deviations over seeds. Difference: how much better the first "
        f"is, in the unit of the metric, {how}. Better seed: probability that a seed of the first "
        "ends better. In brackets: 95 % intervals; in parentheses, how many seeds they rest on."
    ]
    tests = sum(each.p_value is not None for each in matches)
    if tests == 1:
        sentences.append("P: p-value of a difference of 0.")
    elif tests:
        sentences.append(
            "Corrected P: p-value of a difference of 0. Verdicts are corrected for "
            f"{tests} comparisons (Holm): if the two are equally good, at most 5 % of such "
            "comparisons call one of them better anywhere. Intervals are not corrected."
        )
    for step in dict.fromkeys(each.rounding for each in matches if each.rounding):
        on = listed(dict.fromkeys(each.problem for each in matches if each.rounding == step))
        sentences.append(f"On {on}: {rounding_text(step)}.")
    if any(row.failed for each in matches for row in each.rows):
        sentences.append(
            "Where seeds failed, the mean is that of the others; the difference is that of all "
            "seeds, and has no interval."
        )
    return sentences
