"""Tables for terminals, papers, notes, web pages and other programs."""

from __future__ import annotations

import csv
import html
import io
import re
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING

from deepobs.console.screen import Column, render
from deepobs.console.text import clean, counted
from deepobs_analysis import latex
from deepobs_analysis.caveats import caveats, choice_in_words
from deepobs_analysis.summaries import record
from deepobs_analysis.table_columns import Cell, cells_of
from deepobs_analysis.targets import UNITS
from deepobs_analysis.winners import contenders
from deepobs_analysis.wording import MISSING, listed, sources_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepobs_analysis.summaries import Summary
    from deepobs_analysis.table_columns import SummaryColumn

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$-])")

_OBVIOUS = {"seeds", "configurations"}
_WITH_FAILED = {
    *(unit.replace(" ", "_") for unit in UNITS),
    *("seeds", "diverged", "expected_best", "decades"),
}
_OF_TARGETS = {"target", "reached"}


def as_text(
    columns: Sequence[SummaryColumn], rows: Sequence[Summary], width: int | None = None
) -> list[str]:
    """The lines of a table for terminals, the first one its heading.

    Args:
        columns: The columns from left to right.
        rows: The rows.
        width: The width of the terminal, `None` for one line per row.
    """
    headings = [Column(each.heading.upper(), each.is_number) for each in columns]
    texts = [[cell.text for cell in cells] for cells in cells_of(columns, rows)]
    heading, lines = render(headings, texts, width)
    return [heading, *lines]


def as_csv(columns: Sequence[SummaryColumn], rows: Sequence[Summary]) -> str:
    """A table for other programs: all fields of the columns, numbers in full precision."""
    fields = list(dict.fromkeys(field for column in columns for field in column.fields))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fields, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        # Text is cleaned even here: `deepobs table --format csv` prints it on a terminal.
        writer.writerow({k: clean(v) if isinstance(v, str) else v for k, v in record(row).items()})
    return stream.getvalue()


def as_latex(columns: Sequence[SummaryColumn], rows: Sequence[Summary]) -> str:
    r"""All columns for papers that use the package booktabs, the best of each problem in bold."""
    alignment = "".join("r" if column.is_number else "l" for column in columns)
    pairs = zip(rows, cells_of(columns, rows), strict=True)
    blocks = [
        "\n".join(
            _latex_row([_marked(cell, _latex_escaped, r"\textbf{%s}") for cell in cells])
            for _, cells in those
        )
        for _, those in groupby(pairs, key=lambda pair: pair[0].problem)
    ]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            _latex_row([_latex_escaped(column.heading) for column in columns]),
            r"\midrule",
            "\n\\addlinespace\n".join(blocks),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def as_markdown(columns: Sequence[SummaryColumn], rows: Sequence[Summary]) -> str:
    """A table for notes, the best of each problem in bold."""
    lines = [
        [markdown_escaped(column.heading) for column in columns],
        ["---:" if column.is_number else "---" for column in columns],
        *(
            [_marked(cell, markdown_escaped, "**%s**") for cell in cells]
            for cells in cells_of(columns, rows)
        ),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_html(columns: Sequence[SummaryColumn], rows: Sequence[Summary]) -> str:
    """A table element for web pages, the best of each problem in bold."""
    headings = "".join(
        f'<th scope="col" title="{html.escape(column.meaning)}">{html.escape(column.heading)}</th>'
        for column in columns
    )
    lines = (
        "".join(f"<td>{_marked(cell, _html_escaped, '<strong>%s</strong>')}</td>" for cell in cells)
        for cells in cells_of(columns, rows)
    )
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>\n<thead><tr>{headings}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


FORMATS: dict[str, Callable[[Sequence[SummaryColumn], Sequence[Summary]], str]] = {
    "text": lambda columns, rows: "".join(
        f"{line}\n" for line in [*as_text(columns, rows), "", *map(clean, notes(columns, rows))]
    ),
    "csv": as_csv,
    "latex": as_latex,
    "markdown": as_markdown,
    "html": as_html,
}
"""The function that writes a table in each format."""


def notes(columns: Sequence[SummaryColumn], rows: Sequence[Summary]) -> list[str]:
    """The sentences below a table in text form: what its numbers are, and what to beware of."""
    if not rows:
        return ["In no run was the test set measured by the metric of its problem."]
    fields = {field for column in columns for field in column.fields}
    sentences = []
    if any(field.endswith("_mean") for field in fields):
        sentences.append("Means ± population standard deviations over seeds.")
    sentences += where_seeds_failed(columns, rows)
    meanings = [
        f"{column.heading}: {column.meaning}"
        for column in columns
        if column.is_number and column.name not in _OBVIOUS
    ]
    if meanings:
        sentences.append(f"{'; '.join(meanings)}.")
    sentences.append(_metrics(rows))
    targets = {row.problem: row.target for row in rows if row.target is not None}
    if targets and fields & _OF_TARGETS:
        sentences += sources_in_words(targets)
    sentences += choice_in_words(rows)
    # Titles only: with all cases, the notes of a large table would be longer than the table.
    titles = [found.title for found in caveats(rows)]
    if titles:
        sentences.append(f"Caveats (`deepobs report` explains them): {'; '.join(titles)}.")
    return sentences


def meaning_of_bold(columns: Sequence[SummaryColumn], rows: Sequence[Summary]) -> list[str]:
    """What is bold where columns mark their best values, and whether others could be the best."""
    if not any(cell.is_best for cells in cells_of(columns, rows) for cell in cells):
        return []
    sentences = ["Bold: the best mean of each problem."]
    found = contenders(rows)
    if found.comparisons and any(column.name == "final" for column in columns):
        others = len(rows) - len(found.of)
        close = sum(map(len, found.of.values())) - len(found.of)
        sentences.append(
            "Of the others, not significantly worse in test performance, after correction for "
            f"{counted(found.comparisons, 'comparison')} (5 %, Holm): {close} of {others}."
        )
    return sentences


def where_seeds_failed(columns: Sequence[SummaryColumn], rows: Sequence[Summary]) -> list[str]:
    """A sentence on what columns hold where seeds failed, if any did."""
    means = [column.heading for column in columns if "failed" in column.fields]
    if not means or not any(row.failed for row in rows):
        return []
    counting = [column.heading for column in columns if column.name in _WITH_FAILED]
    are = "is" if len(means) == 1 else "are"
    also = f", and count in {listed(counting)}" if counting else ""
    return [
        f"Where seeds failed, {listed(means)} {are} over the others. All seeds decide what is best"
        f"{also}."
    ]


def _metrics(rows: Sequence[Summary]) -> str:
    problems: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        problems[row.selection.metric.name][row.problem] = None
    of_each = "; ".join(f"{name} on {listed(of)}" for name, of in sorted(problems.items()))
    return f"The metric is {of_each}."


def _marked(cell: Cell, escaped: Callable[[str], str], bold: str) -> str:
    return bold % escaped(cell.text) if cell.is_best else escaped(cell.text)


def _latex_row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _latex_escaped(text: str) -> str:
    return "--" if text == MISSING else latex.escaped(text)


def markdown_escaped(text: str) -> str:
    """Text from files that Markdown shows as it is."""
    return html.escape(_MARKDOWN.sub(r"\\\1", clean(text)), quote=False)


def _html_escaped(text: str) -> str:
    return html.escape(clean(text))
