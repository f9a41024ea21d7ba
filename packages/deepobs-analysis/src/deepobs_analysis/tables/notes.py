"""What a reader must know about a table: what its numbers are, and how settings were chosen."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from deepobs_analysis.cautions import cautions
from deepobs_analysis.choice import choice_in_words
from deepobs_analysis.targets import sources_in_words
from deepobs_analysis.wording import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepobs_analysis.standings import Standing
    from deepobs_analysis.tables.columns import Column

_OBVIOUS = {"seeds", "settings"}
_OF_TARGETS = {"target", "reached"}


def notes(columns: Sequence[Column], rows: Sequence[Standing]) -> list[str]:
    """What stands below a table in text form.

    Args:
        columns: The columns that it has.
        rows: Its rows.

    Returns:
        Sentences.
    """
    if not rows:
        return ["In no run was the test set measured by the metric of its problem."]
    fields = {field for column in columns for field in column.fields}
    has_means = any(field.endswith("_mean") for field in fields)
    targets = {row.problem: row.target for row in rows if row.target is not None}
    return [
        *(
            ["Means ± population standard deviations over the seeds of a setting."]
            if has_means
            else []
        ),
        *_meanings(columns),
        _metrics(rows),
        *(sources_in_words(targets) if targets and fields & _OF_TARGETS else []),
        *choice_in_words(rows),
        *_warnings(rows),
    ]


def _meanings(columns: Sequence[Column]) -> list[str]:
    """What the numbers are, in one sentence."""
    meanings = [
        f"{column.heading}: {column.meaning}"
        for column in columns
        if column.is_number and column.name not in _OBVIOUS
    ]
    return [f"{'; '.join(meanings)}."] if meanings else []


def _metrics(rows: Sequence[Standing]) -> str:
    problems: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        problems[row.selection.metric.name][row.problem] = None
    told = "; ".join(f"{name} on {listed(of)}" for name, of in sorted(problems.items()))
    return f"The metric is {told}."


def _warnings(rows: Sequence[Standing]) -> list[str]:
    titles = [found.title for found in cautions(rows)]
    return [f"Explained by `deepobs report`: {'; '.join(titles)}."] if titles else []
