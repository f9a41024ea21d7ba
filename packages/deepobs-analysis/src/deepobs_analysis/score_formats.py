"""Scores over all problems as tables: for terminals, papers, notes and other programs."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

from deepobs.console.text import clean, counted
from deepobs_analysis.latex import Value, ValueColumn, escaped, table
from deepobs_analysis.table_formats import markdown_escaped
from deepobs_analysis.wording import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from deepobs_analysis.measures import Estimate
    from deepobs_analysis.scores import Score, Scores

_MOST_DECIMALS = 6


def as_csv(scores: Scores) -> str:
    """A row for each optimizer, with all numbers in full precision; unknown ones are empty."""
    records = [_record(score, scores.base) for score in scores.scores]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue()


def as_markdown(scores: Scores) -> str:
    """A table for notes."""
    lines = [scores.headings, ["---", *["---:"] * 4], *scores.cells]
    escape = [[markdown_escaped(cell) for cell in line] for line in lines]
    escape[1] = lines[1]
    return "".join(f"| {' | '.join(line)} |\n" for line in escape)


def as_latex(scores: Scores) -> str:
    """A table that fits a column of an article with two; its caption says what is bold."""
    of = scores.scores
    _, score, speedup, normalized, better = scores.headings
    columns = [
        ValueColumn(score, "", _numbers([each.benchmark_score for each in of])),
        ValueColumn("Targets reached", "", [f"{e.reached.reached}/{e.reached.of}" for e in of]),
        ValueColumn(speedup, "", _numbers([e.speedup and e.speedup.geometric_mean for e in of])),
        ValueColumn(normalized, "", _estimates([each.normalized for each in of])),
        ValueColumn(better, "", _estimates([each.improvement for each in of])),
    ]
    kept = [column for column in columns if set(column.cells) != {"--"}]
    names = [each.optimizer for each in of]
    caption = escaped(" ".join(_caption(scores)))
    comments = [f"Skipped: {problem}: {reason}." for problem, reason in scores.skipped.items()]
    return table(names, kept, caption=caption, comments=comments, label="tab:deepobs-scores")


FORMATS: dict[str, Callable[[Scores], str]] = {
    "csv": as_csv,
    "latex": as_latex,
    "markdown": as_markdown,
}
"""The function that writes scores in each format but text."""


def _record(score: Score, base: str | None) -> dict[str, Any]:
    speedup = score.speedup
    known = speedup is not None and math.isfinite(speedup.geometric_mean)
    return {
        "optimizer": clean(score.optimizer),
        "score": score.benchmark_score,
        "reached": score.reached.reached,
        "problems": score.reached.of,
        "against": clean(base) if base and base != score.optimizer else None,
        "speedup": speedup.geometric_mean if speedup and known else None,
        **_fields("normalized", score.normalized),
        **_fields("better_seed", score.improvement),
    }


def _fields(name: str, estimate: Estimate | None) -> dict[str, Any]:
    interval = estimate.interval if estimate else None
    return {
        name: estimate.value if estimate else None,
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
        f"{name}_seeds": estimate.seeds if estimate else None,
    }


def _numbers(values: Sequence[float | None]) -> list[Value | str]:
    """Numbers with two decimals, the largest in bold."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return [
        Value(value, 2, is_bold=len(known) > 1 and value == max(known))
        if value is not None and math.isfinite(value)
        else "--"
        for value in values
    ]


def _estimates(estimates: Sequence[Estimate | None]) -> list[Value | str]:
    """Estimates with their intervals, those in bold that could be as large as the largest."""
    known = [each for each in estimates if each is not None]
    widths = [(e.interval.high - e.interval.low) / 2 for e in known if e.interval]
    narrowest = min(filter(None, widths), default=1.0)
    decimals = min(max(2, -math.floor(math.log10(narrowest))), _MOST_DECIMALS)
    best = max((each.value for each in known), default=0.0)
    cells: list[Value | str] = []
    for each in estimates:
        if each is None:
            cells.append("--")
            continue
        largest = each.value if each.interval is None else each.interval.high
        is_bold = len(known) > 1 and largest >= best
        cells.append(Value(each.value, decimals, interval=each.interval, is_bold=is_bold))
    return cells


def _caption(scores: Scores) -> Iterable[str]:
    timed, compared = list(scores.timed), list(scores.compared)
    yield f"Scores over {counted(len(timed), 'problem')}{_of(timed)}."
    if set(timed) != set(compared):
        on = f"{counted(len(compared), 'problem')}{_of(compared)}"
        yield f"The last columns are over {on}."
    yield (
        f"Score: area under the performance profile of the {scores.unit} to the target. Targets "
        "reached: by more than half of the seeds. Normalized: interquartile mean, 0 for an "
        "untrained model and 1 for the target. Small: 95 % intervals over seeds. Bold: the "
        "best of a column, and those whose intervals reach it."
    )


def _of(problems: Sequence[str]) -> str:
    return f" ({listed(problems)})" if problems else ""
