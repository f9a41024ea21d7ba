"""Tables of plain text, as wide as the terminal, or with one row a line when they are piped.

Drawn here rather than by rich, whose import alone takes a third of the time `deepobs list` may.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepobs.cli.text import clean, columns_of, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = "  "
_NARROWEST = 24
"""Columns below which running text in the last column is no longer readable."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: What stands above it.
        is_number: Whether its values are aligned to the right.
    """

    heading: str
    is_number: bool = False


def render(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int | None
) -> tuple[str, list[str]]:
    """Lay out a table whose last column holds running text.

    Args:
        columns: The columns from left to right.
        rows: A value for each column; control characters in them are spelt out.
        width: The columns of the terminal, `None` for one line a row, however long.

    Returns:
        The line of headings, and the lines below it. The last column is broken into lines; where
        it would be too narrow, it stands below the others instead.
    """
    cells = [[clean(value) for value in row] for row in rows]
    widths = [
        max(columns_of(text) for text in (column.heading, *(row[index] for row in cells)))
        for index, column in enumerate(columns[:-1])
    ]
    is_stacked = width is not None and _needed(cells) > width - sum(widths) - 2 * len(widths)
    *fixed, last = columns
    heading = _left([column.heading for column in fixed], columns, widths)
    lines = [
        line
        for *left, text in cells
        for line in _row(_left(left, columns, widths), text, width, is_stacked=is_stacked)
    ]
    return (heading if is_stacked else heading + last.heading).rstrip(), lines


def _needed(cells: list[list[str]]) -> int:
    """How many columns the last column needs to be readable beside the others."""
    texts = [row[-1] for row in cells]
    longest_word = max((columns_of(word) for text in texts for word in text.split()), default=0)
    longest_text = max(map(columns_of, texts), default=0)
    return max(longest_word, min(longest_text, _NARROWEST))


def _left(texts: Sequence[str], columns: Sequence[Column], widths: list[int]) -> str:
    """All but the last column of a line, aligned."""
    padded = ""
    for text, column, width in zip(texts, columns, widths, strict=False):
        filling = " " * (width - columns_of(text))
        padded += (filling + text if column.is_number else text + filling) + _GAP
    return padded


def _row(left: str, text: str, width: int | None, *, is_stacked: bool) -> list[str]:
    if is_stacked:
        return [left.rstrip(), *(wrap(text, width, _GAP) if text else [])]
    first, *others = wrap(text, None if width is None else width - columns_of(left))
    return [(left + first).rstrip(), *(" " * columns_of(left) + line for line in others)]
