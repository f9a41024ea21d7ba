"""Tables in the languages of terminals, papers, notes, web pages and other programs."""

from __future__ import annotations

import csv
import html
import io
import re
from itertools import groupby
from typing import TYPE_CHECKING

from deepobs.console.screen import Column as TerminalColumn
from deepobs.console.screen import render
from deepobs.console.text import clean
from deepobs_analysis.rounding import MISSING
from deepobs_analysis.standings import record
from deepobs_analysis.tables.layout import Cell, cells_of
from deepobs_analysis.tables.notes import notes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepobs_analysis.standings import Standing
    from deepobs_analysis.tables.columns import Column

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "[": "{[}",  # after a line of a table, it would begin an argument, and * a variant
    "*": "{*}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$-])")


def as_text(
    columns: Sequence[Column], rows: Sequence[Standing], width: int | None = None
) -> list[str]:
    """The lines of a table for terminals, the first one its heading.

    Args:
        columns: The columns from left to right.
        rows: A row each.
        width: The columns of the terminal, `None` for one line a row.
    """
    headings = [TerminalColumn(each.heading.upper(), each.is_number) for each in columns]
    texts = [[cell.text for cell in cells] for cells in cells_of(columns, rows)]
    heading, lines = render(headings, texts, width)
    return [heading, *lines]


def as_csv(columns: Sequence[Column], rows: Sequence[Standing]) -> str:
    """A table for other programs, all numbers in full precision.

    Args:
        columns: The columns from left to right; a mean and its deviation are two in the file.
        rows: A row each.
    """
    fields = list(dict.fromkeys(field for column in columns for field in column.fields))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fields, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: _harmless(value) for name, value in record(row).items()} for row in rows
    )
    return stream.getvalue()


def as_latex(columns: Sequence[Column], rows: Sequence[Standing]) -> str:
    r"""A table for papers that use the package booktabs, the best of each problem in bold.

    Args:
        columns: The columns from left to right.
        rows: A row each.
    """
    alignment = "".join("r" if column.is_number else "l" for column in columns)
    blocks = [
        "\n".join(
            _latex_row([_marked(cell, _latex_escaped, r"\textbf{%s}") for cell in cells])
            for _, cells in those
        )
        for those in _by_problem(columns, rows)
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


def as_markdown(columns: Sequence[Column], rows: Sequence[Standing]) -> str:
    """A table for notes, the best of each problem in bold.

    Args:
        columns: The columns from left to right.
        rows: A row each.
    """
    lines = [
        [_markdown_escaped(column.heading) for column in columns],
        ["---:" if column.is_number else "---" for column in columns],
        *(
            [_marked(cell, _markdown_escaped, "**%s**") for cell in cells]
            for cells in cells_of(columns, rows)
        ),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_html(columns: Sequence[Column], rows: Sequence[Standing]) -> str:
    """A table element for web pages, the best of each problem in bold.

    Args:
        columns: The columns from left to right.
        rows: A row each.
    """
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


FORMATS: dict[str, Callable[[Sequence[Column], Sequence[Standing]], str]] = {
    "text": lambda columns, rows: "".join(
        f"{line}\n" for line in [*as_text(columns, rows), "", *map(clean, notes(columns, rows))]
    ),
    "csv": as_csv,
    "latex": as_latex,
    "markdown": as_markdown,
    "html": as_html,
}
"""What writes a table in each format."""


def _by_problem(
    columns: Sequence[Column], rows: Sequence[Standing]
) -> list[list[tuple[Standing, list[Cell]]]]:
    pairs = zip(rows, cells_of(columns, rows), strict=True)
    return [list(those) for _, those in groupby(pairs, key=lambda pair: pair[0].problem)]


def _marked(cell: Cell, escaped: Callable[[str], str], bold: str) -> str:
    return bold % escaped(cell.text) if cell.is_best else escaped(cell.text)


def _latex_row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _latex_escaped(text: str) -> str:
    if text == MISSING:
        return "--"
    return "".join(_LATEX.get(character, character) for character in clean(text))


def _markdown_escaped(text: str) -> str:
    return html.escape(_MARKDOWN.sub(r"\\\1", clean(text)), quote=False)


def _html_escaped(text: str) -> str:
    return html.escape(clean(text))


def _harmless(value: object) -> object:
    """A value for programs: of a text, what would control a terminal is spelt out."""
    return clean(value) if isinstance(value, str) else value
