"""Tables for papers: the packages booktabs and siunitx, as wide as a column of an article."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from deepobs.console.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # \textquotedbl is unknown in the encoding that LaTeX begins with
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "…": r"\dots{}",
    "†": r"\dag{}",
    "[": "{[}",  # after a line of a table, it would begin an argument, and * a variant
    "*": "{*}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_LAST_KNOWN = 0x17F
"""The last character that pdflatex knows without further packages, of Latin Extended-A."""

_COLUMN = 225.0
"""Points of a column of an article, the narrowest of common classes less a little."""

_COLUMN_SEPARATION = 2.5  # on each side of a column
_LONGEST_PART = 9
_BOLD, _LETTER, _SMALL = 1.15, 1.1, 0.75  # widths of other characters relative to digits


class _Size(NamedTuple):
    """How a table is set.

    Attributes:
        command: The size of its text.
        digit: The width of a digit in points.
        is_separate: Whether deviations follow `±`, not in parentheses in units of the last place.
        longest_name: Up to how many letters names of rows take a line.
    """

    command: str
    digit: float
    is_separate: bool
    longest_name: int


_SIZES = (
    _Size(r"\small", 4.65, is_separate=True, longest_name=18),
    _Size(r"\footnotesize", 4.25, is_separate=True, longest_name=18),
    _Size(r"\footnotesize", 4.25, is_separate=False, longest_name=18),
    _Size(r"\footnotesize", 4.25, is_separate=False, longest_name=10),
)
"""From the most readable to the smallest."""


@dataclass(frozen=True, slots=True)
class Value:
    """A number of a table.

    Attributes:
        mean: Its digits, such as "0.850".
        deviation: Those of its deviation with as many decimals, or nothing.
        is_bold: Whether it stands out.
        mark: LaTeX that follows it, such as that of a footnote.
    """

    mean: str
    deviation: str = ""
    is_bold: bool = False
    mark: str = ""

    @property
    def uncertainty(self) -> str:
        """The digits of the deviation, in units of the last place."""
        return self.deviation.replace(".", "").lstrip("0") or "0" if self.deviation else ""


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """A column of numbers: its heading, LaTeX below it, and for each row a number or LaTeX."""

    heading: str
    below: str
    cells: Sequence[Value | str]


def escaped(text: str) -> str:
    """Text from files that LaTeX prints as it is."""
    characters = (_character(character) for character in clean(text))
    # LaTeX would join them to a dash.
    return "".join(characters).replace("--", "-{}-")


def table(
    names: Sequence[str],
    columns: Sequence[ValueColumn],
    *,
    caption: str,
    comments: Iterable[str] = (),
    label: str = "tab:deepobs",
) -> str:
    """A table that fits a column of an article with two; what does not fit stands below.

    Args:
        names: The names of the rows.
        columns: The columns beside them.
        caption: LaTeX.
        comments: Sentences for the author, which are not printed.
        label: By which the article refers to it.
    """
    size = next((e for e in _SIZES if _width(names, columns, e) <= _COLUMN), _SIZES[-1])
    blocks = _blocks(names, columns, size)
    # siunitx sets bold numbers as text: in math mode they would be as light as the others.
    options = "detect-weight=true, mode=text"
    if any(isinstance(e, Value) and e.deviation for column in columns for e in column.cells):
        if not size.is_separate:
            caption += " In parentheses: deviations, in units of the last digit."
        options += f", separate-uncertainty={str(size.is_separate).lower()}"
    if any(isinstance(e, Value) and e.mark for column in columns for e in column.cells):
        options += ", table-align-text-post=false"
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs} and \usepackage{siunitx}.",
            *(f"% {clean(sentence)}" for sentence in comments),
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            r"\smallskip",  # many classes expect captions below
            size.command,
            rf"\setlength{{\tabcolsep}}{{{_COLUMN_SEPARATION}pt}}",
            rf"\sisetup{{{options}}}",
            "\n\n\\medskip\n".join(_tabular(names, block, size) for block in blocks),
            r"\end{table}",
            "",
        ]
    )


def stacked(name: str, longest: int, alignment: str, position: str) -> str:
    """A name in as many lines as it needs, broken at underscores and spaces."""
    lines = [""]
    for part in re.findall(r"[^_ ]*(?:_+| +|$)", clean(name)):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > longest:
            lines.append("")
        lines[-1] += part
    texts = [escaped(line.rstrip()) for line in lines if line.strip()]
    if len(texts) < 2:
        return "".join(texts)
    inner = r" \\ ".join(texts)
    return rf"\begin{{tabular}}[{position}]{{@{{}}{alignment}@{{}}}}{inner}\end{{tabular}}"


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if ord(character) > _LAST_KNOWN:
        return rf"\texttt{{U+{ord(character):04X}}}"
    return character


def _width(names: Sequence[str], columns: Sequence[ValueColumn], size: _Size) -> float:
    """About how many points wide a table is."""
    longest = max((min(len(name), size.longest_name) for name in names), default=0)
    return longest * size.digit * _LETTER + sum(_width_of(column, size) for column in columns)


def _width_of(column: ValueColumn, size: _Size) -> float:
    values = [each for each in column.cells if isinstance(each, Value)]
    sign_or_parentheses = 2.6 if size.is_separate else 1.6
    digits: float = max((len(each.mean) for each in values), default=2)
    deviations = [each.deviation if size.is_separate else each.uncertainty for each in values]
    if any(deviations):
        digits += max(map(len, deviations)) + sign_or_parentheses
    marks = [re.sub(r"\\[a-z]+|[{}\\]", "", each.mark) for each in values]
    digits += _SMALL * max(map(len, marks), default=0)
    texts = [len(each) for each in column.cells if isinstance(each, str)]
    digits = max([digits, *texts])
    heading = max(map(len, re.split(r"[_ ]", column.heading)), default=0)
    digits *= _BOLD if any(each.is_bold for each in values) else 1
    return max(digits, heading + 1) * size.digit + 2 * _COLUMN_SEPARATION


def _blocks(
    names: Sequence[str], columns: Sequence[ValueColumn], size: _Size
) -> list[Sequence[ValueColumn]]:
    """The columns, in as many blocks of about equal size as are needed to fit."""
    for count in range(1, len(columns)):
        step = math.ceil(len(columns) / count)
        blocks = [columns[start : start + step] for start in range(0, len(columns), step)]
        if all(_width(names, block, size) <= _COLUMN for block in blocks):
            return blocks
    return [columns[place : place + 1] for place in range(len(columns))]


def _tabular(names: Sequence[str], columns: Sequence[ValueColumn], size: _Size) -> str:
    formats = " ".join(_format(column) for column in columns)
    headings = [stacked(each.heading, _LONGEST_PART, "c", "b") for each in columns]
    lines = [_row(["", *(f"{{{heading}}}" for heading in headings)])]
    if any(column.below for column in columns):
        lines.append(_row(["", *(f"{{{column.below}}}" for column in columns)]))
    lines.append(r"\midrule")
    for place, name in enumerate(names):
        cells = [_cell(column.cells[place]) for column in columns]
        lines.append(_row([stacked(name, size.longest_name, "l", "c"), *cells]))
    return "\n".join(
        [
            rf"\begin{{tabular}}{{@{{}}l {formats}@{{}}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _format(column: ValueColumn) -> str:
    """The column type that aligns numbers at the decimal point."""
    values = [each for each in column.cells if isinstance(each, Value)]
    if not values:
        return "c"
    whole = max(len(each.mean.lstrip("-").partition(".")[0]) for each in values)
    decimals = max(len(each.mean.partition(".")[2]) for each in values)
    sign = "-" if any(each.mean.startswith("-") for each in values) else ""
    digits = max(len(each.uncertainty) for each in values)
    uncertainty = f"({digits})" if digits else ""
    marks = {each.mark for each in values if each.mark}
    room = f", table-space-text-post={{{max(marks, key=len)}}}" if marks else ""
    return f"S[table-format={sign}{whole}.{decimals}{uncertainty}{room}]"


def _cell(cell: Value | str) -> str:
    if isinstance(cell, str):
        return f"{{{cell}}}"
    uncertainty = f"({cell.uncertainty})" if cell.deviation else ""
    mark = f"{{{cell.mark}}}" if cell.mark else ""
    weight = r"\bfseries " if cell.is_bold else ""
    return f"{weight}{cell.mean}{uncertainty}{mark}"


def _row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"
