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

_PAGE = 550.0
"""Points of the text of a page of the class article, which few classes have less than."""

_COLUMN_SEPARATION = 2.5  # on each side of a column
_LONGEST_PART = 9
_BOLD, _SMALL = 1.15, 0.75  # widths of other characters relative to digits
_CAPITAL, _LETTER = 1.4, 1.05
_LETTERS = dict.fromkeys("ijlt.,:;'()[]| I", 0.65) | dict.fromkeys("mwMW", 1.7)


class _Style(NamedTuple):
    """How a table is set.

    Attributes:
        size: The size of its text.
        digit: The width of a digit in points.
        line: The height of a line in points.
        dropped: How many decimals numbers with deviations lose.
        is_separate: Whether deviations follow `±`, not in parentheses in units of the last place.
        longest_name: Up to how many letters names of rows take a line.
    """

    size: str
    digit: float
    line: float
    dropped: int
    is_separate: bool
    longest_name: int


_STYLES = (
    _Style(r"\small", 4.65, 11.0, dropped=0, is_separate=True, longest_name=18),
    _Style(r"\footnotesize", 4.25, 9.5, dropped=0, is_separate=True, longest_name=18),
    _Style(r"\small", 4.65, 11.0, dropped=1, is_separate=True, longest_name=18),
    _Style(r"\footnotesize", 4.25, 9.5, dropped=1, is_separate=True, longest_name=18),
    _Style(r"\footnotesize", 4.25, 9.5, dropped=0, is_separate=False, longest_name=18),
    _Style(r"\footnotesize", 4.25, 9.5, dropped=1, is_separate=False, longest_name=18),
    _Style(r"\footnotesize", 4.25, 9.5, dropped=1, is_separate=False, longest_name=10),
)
"""From the most readable to the narrowest."""


@dataclass(frozen=True, slots=True)
class Value:
    """A number of a table.

    Attributes:
        mean: The number.
        decimals: How many it is written with; tables with deviations that are too wide drop one.
        deviation: Its standard deviation, written with as many decimals.
        interval: The ends of its interval, written small, one above the other.
        is_bold: Whether it stands out.
        mark: LaTeX that follows it, such as that of a footnote.
    """

    mean: float
    decimals: int
    deviation: float | None = None
    interval: tuple[float, float] | None = None
    is_bold: bool = False
    mark: str = ""


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """A column of numbers: its heading, LaTeX below it, and for each row a number or LaTeX."""

    heading: str
    below: str
    cells: Sequence[Value | str]


class _Cell(NamedTuple):
    """A number as it is written: its digits, those of its deviation, and LaTeX that follows."""

    mean: str
    uncertainty: str
    mark: str
    is_bold: bool


class _Written(NamedTuple):
    """A column as it is written: numbers are cells, and text is LaTeX."""

    heading: str
    below: str
    cells: Sequence[_Cell | str]

    @property
    def numbers(self) -> list[_Cell]:
        return [cell for cell in self.cells if isinstance(cell, _Cell)]


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
    style, blocks = _fitting(names, columns)
    values = [each for column in columns for each in column.cells if isinstance(each, Value)]
    # siunitx sets bold numbers as text: in math mode they would be as light as the others.
    options = "detect-weight=true, mode=text"
    if any(each.deviation is not None for each in values):
        if not style.is_separate:
            caption += " In parentheses: deviations, in units of the last digit."
        options += f", separate-uncertainty={str(style.is_separate).lower()}"
    if any(each.mark or each.interval for each in values):
        options += ", table-align-text-post=false"
    comments = [*comments]
    height = sum(_height(names, block, style) for block in blocks)
    if height > _PAGE:
        comments.append(
            f"About {height:.0f} points high without its caption, more than a page has "
            f"({_PAGE:.0f}): select fewer optimizers or problems."
        )
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs} and \usepackage{siunitx}.",
            *(f"% {clean(sentence)}" for sentence in comments),
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            r"\smallskip",  # many classes expect captions below
            style.size,
            rf"\setlength{{\tabcolsep}}{{{_COLUMN_SEPARATION}pt}}",
            rf"\sisetup{{{options}}}",
            "\n\n\\medskip\n".join(_tabular(names, block, style) for block in blocks),
            r"\end{table}",
            "",
        ]
    )


def stacked(name: str, longest: int, alignment: str, position: str) -> str:
    """A name in as many lines as it needs, broken at underscores and spaces."""
    texts = [escaped(line) for line in _lines(name, longest)]
    if len(texts) < 2:
        return "".join(texts)
    inner = r" \\ ".join(texts)
    return rf"\begin{{tabular}}[{position}]{{@{{}}{alignment}@{{}}}}{inner}\end{{tabular}}"


def _lines(name: str, longest: int) -> list[str]:
    lines = [""]
    for part in re.findall(r"[^_ ]*(?:_+| +|$)", clean(name)):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > longest:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines if line.strip()]


def _letters(name: str, longest: int) -> float:
    """The width of a name in lines, in digits."""
    widths = [
        sum(_LETTERS.get(each, _CAPITAL if each.isupper() else _LETTER) for each in line)
        for line in _lines(name, longest)
    ]
    return max(widths, default=0.0)


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if ord(character) > _LAST_KNOWN:
        return rf"\texttt{{U+{ord(character):04X}}}"
    return character


def _fitting(
    names: Sequence[str], columns: Sequence[ValueColumn]
) -> tuple[_Style, list[Sequence[_Written]]]:
    """The most readable style of those that need the fewest blocks of columns, and the blocks."""
    values = [each for column in columns for each in column.cells if isinstance(each, Value)]
    has_deviations = any(each.deviation is not None for each in values)
    tried = []
    for style in _STYLES:
        dropped = style.dropped if has_deviations else 0
        written = [
            _Written(
                column.heading,
                column.below,
                [e if isinstance(e, str) else _cell(e, dropped) for e in column.cells],
            )
            for column in columns
        ]
        tried.append((style, _blocks(names, written, style)))
    return min(tried, key=lambda each: len(each[1]))


def _cell(value: Value, dropped: int) -> _Cell:
    decimals = max(0, value.decimals - dropped)
    uncertainty = ""
    if value.deviation is not None:
        uncertainty = f"{value.deviation:.{decimals}f}".replace(".", "").lstrip("0") or "0"
    mark = value.mark
    if value.interval is not None:
        low, high = (f"{end:.{decimals}f}" for end in value.interval)
        mark += f"$_{{{low}}}^{{{high}}}$"
    return _Cell(f"{value.mean:.{decimals}f}", uncertainty, mark, value.is_bold)


def _width(names: Sequence[str], columns: Sequence[_Written], style: _Style) -> float:
    """About how many points wide a table is."""
    longest = max((_letters(name, style.longest_name) for name in names), default=0)
    return longest * style.digit + sum(_width_of(column, style) for column in columns)


def _height(names: Sequence[str], columns: Sequence[_Written], style: _Style) -> float:
    """About how many points high a block of columns is, headings and rules included."""
    heading = max(len(_lines(column.heading, _LONGEST_PART)) for column in columns)
    below = any(column.below for column in columns)
    rows = sum(len(_lines(name, style.longest_name)) for name in names)
    return (heading + below + rows + 1) * style.line


def _width_of(column: _Written, style: _Style) -> float:
    numbers = column.numbers
    digits: float = max((len(each.mean) for each in numbers), default=2)
    longest = max((len(each.uncertainty) for each in numbers), default=0)
    if longest and style.is_separate:
        decimals = max(len(each.mean.partition(".")[2]) for each in numbers)
        digits += max(longest, decimals + 1) + (1 if decimals else 0) + 1.6
    elif longest:
        digits += longest + 1.6
    marks = [part for each in numbers for part in re.split(r"\^", each.mark)]
    printed = [re.sub(r"\\[a-z]+|[{}\\$_]", "", mark) for mark in marks]
    digits += _SMALL * max(map(len, printed), default=0)
    texts = [len(each) for each in column.cells if isinstance(each, str)]
    digits = max([digits, *texts])
    heading = _letters(column.heading, _LONGEST_PART)
    digits *= _BOLD if any(each.is_bold for each in numbers) else 1
    return max(digits, heading) * style.digit + 2 * _COLUMN_SEPARATION


def _blocks(
    names: Sequence[str], columns: Sequence[_Written], style: _Style
) -> list[Sequence[_Written]]:
    """The columns in as few blocks as fit, of about equal size where these fit, too."""
    filled: list[list[_Written]] = []
    for column in columns:
        if filled and _width(names, [*filled[-1], column], style) <= _COLUMN:
            filled[-1].append(column)
        else:
            filled.append([column])
    if not filled:
        return []
    step = math.ceil(len(columns) / len(filled))
    equal = [columns[start : start + step] for start in range(0, len(columns), step)]
    return equal if all(_width(names, each, style) <= _COLUMN for each in equal) else [*filled]


def _tabular(names: Sequence[str], columns: Sequence[_Written], style: _Style) -> str:
    formats = " ".join(_format(column) for column in columns)
    headings = [stacked(each.heading, _LONGEST_PART, "c", "b") for each in columns]
    lines = [_row(["", *(f"{{{heading}}}" for heading in headings)])]
    if any(column.below for column in columns):
        lines.append(_row(["", *(f"{{{column.below}}}" for column in columns)]))
    lines.append(r"\midrule")
    for place, name in enumerate(names):
        cells = [_latex(column.cells[place]) for column in columns]
        if place and any("^" in each.mark for column in columns for each in column.numbers):
            lines.append(r"\addlinespace[1.5pt]")
        lines.append(_row([stacked(name, style.longest_name, "l", "c"), *cells]))
    return "\n".join(
        [
            rf"\begin{{tabular}}{{@{{}}l {formats}@{{}}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _format(column: _Written) -> str:
    """The column type that aligns numbers at the decimal point."""
    numbers = column.numbers
    if not numbers:
        return "c"
    whole = max(len(each.mean.lstrip("-").partition(".")[0]) for each in numbers)
    decimals = max(len(each.mean.partition(".")[2]) for each in numbers)
    sign = "-" if any(each.mean.startswith("-") for each in numbers) else ""
    digits = max(len(each.uncertainty) for each in numbers)
    uncertainty = f"({digits})" if digits else ""
    marks = {each.mark for each in numbers if each.mark}
    room = f", table-space-text-post={{{max(marks, key=len)}}}" if marks else ""
    return f"S[table-format={sign}{whole}.{decimals}{uncertainty}{room}]"


def _latex(cell: _Cell | str) -> str:
    if isinstance(cell, str):
        return f"{{{cell}}}"
    uncertainty = f"({cell.uncertainty})" if cell.uncertainty else ""
    mark = f"{{{cell.mark}}}" if cell.mark else ""
    weight = r"\bfseries " if cell.is_bold else ""
    return f"{weight}{cell.mean}{uncertainty}{mark}"


def _row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"
