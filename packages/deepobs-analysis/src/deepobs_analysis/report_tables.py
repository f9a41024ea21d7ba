"""The tables of a report: texts in rows, with the numbers that they are sorted by."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from deepobs_analysis.summaries import record
from deepobs_analysis.table_columns import COLUMNS, cells_of
from deepobs_analysis.wording import (
    MISSING,
    estimate_or_missing,
    number,
    ratio_text,
    score_text,
    speedup_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deepobs_analysis.measures import Estimate
    from deepobs_analysis.results import Results
    from deepobs_analysis.scores import Scores
    from deepobs_analysis.summaries import Summary
    from deepobs_analysis.table_columns import SummaryColumn

_FIRST_VERSIONS = ("python", "torch")


class Heading(NamedTuple):
    """The heading of a column and what it holds; numbers are aligned to the right."""

    text: str
    meaning: str = ""
    is_number: bool = False


class Value(NamedTuple):
    """A cell, whether it is the best of its problem, and the number to sort it by, if any."""

    text: str
    is_best: bool = False
    order: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The headings of the columns, and the cells of each row."""

    headings: Sequence[Heading]
    rows: Sequence[Sequence[Value]]


def known_columns(rows: Sequence[Summary], names: Iterable[str]) -> list[SummaryColumn]:
    """The columns of these names that hold something in any row."""
    columns = [COLUMNS[name] for name in names]
    return [each for each in columns if any(each.text(row) != MISSING for row in rows)]


def table_of_summaries(rows: Sequence[Summary], columns: Sequence[SummaryColumn]) -> Table:
    """How optimizers performed."""
    records = [record(row) for row in rows]
    return Table(
        [Heading(column.heading, column.meaning, column.is_number) for column in columns],
        [
            [
                Value(*cell, order=known[column.fields[0]] if column.is_number else None)
                for column, cell in zip(columns, cells, strict=True)
            ]
            for known, cells in zip(records, cells_of(columns, rows), strict=True)
        ],
    )


def table_of_scores(scores: Scores) -> Table:
    """How optimizers performed over all problems."""
    against = f" vs {scores.base}" if scores.base else ""
    meanings = {
        "Score": "area under the performance profile, up to four times the fastest: 1 for the "
        "fastest on all problems; a target that is missed counts as 0",
        f"Speedup{against}": "geometric mean over all problems, where both reach all targets; on "
        "how many targets are reached, where not",
        "Normalized": "interquartile mean over all seeds, 0 for an untrained model and 1 for the "
        "target, with a 95 % interval",
        f"Better seed{against}": "probability that a seed ends better than one of the other "
        "optimizer, with a 95 % interval",
    }
    headings = [Heading(text, meaning, is_number=True) for text, meaning in meanings.items()]
    rows = [
        [
            Value(score.optimizer),
            Value(score_text(score.benchmark_score, score.reached), order=score.benchmark_score),
            Value(
                speedup_text(score.speedup, scores.base),
                order=_known(score.speedup.geometric_mean) if score.speedup else None,
            ),
            _estimate(score.normalized),
            _estimate(score.improvement),
        ]
        for score in scores.scores
    ]
    return Table([Heading("Optimizer"), *headings], rows)


def table_of_ratios(scores: Scores) -> Table:
    """How many times as long as the fastest each optimizer takes to each target."""
    meaning = "median time as a multiple of that of the fastest, and how many seeds are in time"
    headings = [
        Heading("Problem"),
        Heading("Target", "the performance to reach", is_number=True),
        *(Heading(score.optimizer, meaning, is_number=True) for score in scores.scores),
        Heading("Source of the target"),
    ]
    rows = [
        [
            Value(problem),
            Value(number(scores.targets[problem].value), order=scores.targets[problem].value),
            *(
                Value(ratio_text(ratio, score.seeds[problem]), ratio == 1, ratio)
                for score in scores.scores
                for ratio in (score.ratios[problem],)
            ),
            Value(scores.targets[problem].source),
        ]
        for problem in scores.timed
    ]
    return Table(headings, rows)


def table_of_environments(results: Results) -> Table | None:
    """Devices, hardware and versions of the runs; `None` if not recorded."""
    runs = results.runs
    counts = Counter(
        (device, json.dumps(hardware, sort_keys=True), json.dumps(versions, sort_keys=True))
        for device, hardware, versions in zip(
            runs["device"], runs["hardware"], runs["versions"], strict=True
        )
    )
    if set(counts) <= {("", "{}", "{}")}:
        return None
    rows = []
    for (device, hardware, recorded), count in counts.most_common():
        versions = json.loads(recorded)
        first = {name: versions[name] for name in _FIRST_VERSIONS if name in versions}
        texts = (device or "not recorded", _words(json.loads(hardware)), _words(first | versions))
        rows.append([Value(str(count), order=count), *map(Value, texts)])
    headings = [Heading("Runs", is_number=True), *map(Heading, ("Device", "Hardware", "Versions"))]
    return Table(headings, rows)


def _estimate(estimate: Estimate | None) -> Value:
    text = estimate_or_missing(estimate)
    return Value(text) if estimate is None else Value(text, order=estimate.value)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _words(known: dict[str, Any]) -> str:
    texts = (f"{name.replace('_', ' ')} {value}" for name, value in known.items() if value)
    return ", ".join(texts) or "not recorded"
