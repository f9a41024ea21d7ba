"""The tables of a report: texts in rows, with what they are sorted by."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from deepobs_analysis.rounding import MISSING, interval_text, number, speedup_text
from deepobs_analysis.standings import record
from deepobs_analysis.tables import COLUMNS, cells_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deepobs_analysis.results import Results
    from deepobs_analysis.scores import Estimate, Scores
    from deepobs_analysis.standings import Standing

_FEWEST_VERSIONS = ("python", "torch")
"""What is named first."""


class Heading(NamedTuple):
    """What stands above a column.

    Attributes:
        text: Its name.
        meaning: What it holds.
        is_number: Whether values are aligned to the right.
    """

    text: str
    meaning: str = ""
    is_number: bool = False


class Value(NamedTuple):
    """A cell.

    Attributes:
        text: What is shown.
        is_best: Whether it is the best of its problem.
        order: The number that it is sorted by; `None` for its text.
    """

    text: str
    is_best: bool = False
    order: float | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Attributes:
        headings: What stands above the columns.
        rows: The cells.
    """

    headings: Sequence[Heading]
    rows: Sequence[Sequence[Value]]


def grid_of_standings(
    rows: Sequence[Standing], names: Iterable[str], *, only_known: bool = False
) -> Grid:
    """How optimizers did.

    Args:
        rows: A row each.
        names: Names of columns.
        only_known: Whether to leave out columns that hold nothing.
    """
    columns = [COLUMNS[name] for name in names]
    if only_known:
        columns = [each for each in columns if any(each.text(row) != MISSING for row in rows)]
    records = [record(row) for row in rows]
    return Grid(
        [Heading(column.heading, column.meaning, column.is_number) for column in columns],
        [
            [
                Value(*cell, order=known[column.fields[0]] if column.is_number else None)
                for column, cell in zip(columns, cells, strict=True)
            ]
            for known, cells in zip(records, cells_of(columns, rows), strict=True)
        ],
    )


def grid_of_scores(scores: Scores) -> Grid:
    """How optimizers did over all problems."""
    against = f" vs {scores.base}" if scores.base else ""
    headings = [
        Heading("Optimizer"),
        Heading(
            "Score",
            "area under the performance profile, up to four times the fastest: 1 for the fastest "
            "on all problems",
            is_number=True,
        ),
        Heading(
            f"Speedup{against}",
            "geometric mean over the problems on which both reach the target; their number in "
            "parentheses",
            is_number=True,
        ),
        Heading(
            "Normalised",
            "interquartile mean over all seeds, 0 for an untrained model and 1 for the target, "
            "with a 95 % interval",
            is_number=True,
        ),
        Heading(
            f"Better seed{against}",
            "how probable it is that a seed ends better than one of the other optimizer, with a "
            "95 % interval",
            is_number=True,
        ),
    ]
    rows = [
        [
            Value(score.optimizer),
            Value(number(score.benchmark_score, 3), order=score.benchmark_score),
            Value(
                speedup_text(score.speedup),
                order=None if score.speedup is None else score.speedup.geometric_mean,
            ),
            _estimate(score.normalized),
            _estimate(score.improvement),
        ]
        for score in scores.scores
    ]
    return Grid(headings, rows)


def grid_of_ratios(scores: Scores) -> Grid:
    """How many times as long as the fastest each optimizer takes to each target."""
    names = [score.optimizer for score in scores.scores]
    headings = [
        Heading("Problem"),
        Heading("Target", "the performance to reach", is_number=True),
        *(
            Heading(name, "median time as a multiple of that of the fastest", True)
            for name in names
        ),
        Heading("Where the target comes from"),
    ]
    rows = [
        [
            Value(problem),
            Value(number(scores.targets[problem].value), order=scores.targets[problem].value),
            *(
                Value(number(ratio, 3), ratio == 1, ratio)
                for ratio in (score.ratios[problem] for score in scores.scores)
            ),
            Value(scores.targets[problem].source),
        ]
        for problem in scores.timed
    ]
    return Grid(headings, rows)


def grid_of_circumstances(results: Results) -> Grid | None:
    """What was run where, with which versions; `None` if not recorded."""
    runs = results.runs
    counts = Counter(
        (device, json.dumps(hardware, sort_keys=True), json.dumps(versions, sort_keys=True))
        for device, hardware, versions in zip(
            runs["device"], runs["hardware"], runs["versions"], strict=True
        )
    )
    if set(counts) <= {("", "{}", "{}")}:
        return None
    rows = [
        [
            Value(str(count), order=count),
            Value(device or "not recorded"),
            Value(_in_words(json.loads(hardware))),
            Value(_in_words(_ordered(json.loads(versions)))),
        ]
        for (device, hardware, versions), count in counts.most_common()
    ]
    headings = [Heading("Runs", is_number=True), *map(Heading, ("Device", "Hardware", "Versions"))]
    return Grid(headings, rows)


def _estimate(estimate: Estimate | None) -> Value:
    if estimate is None:
        return Value(MISSING)
    text = f"{number(estimate.value)} {interval_text(estimate.interval)}"
    return Value(text, order=estimate.value)


def _ordered(versions: dict[str, Any]) -> dict[str, Any]:
    first = {name: versions[name] for name in _FEWEST_VERSIONS if name in versions}
    return first | versions


def _in_words(known: dict[str, Any]) -> str:
    texts = (f"{name.replace('_', ' ')} {value}" for name, value in known.items() if value)
    return ", ".join(texts) or "not recorded"
