"""The cells of a table, with the best value of each problem marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepobs_analysis.standings import Standing
    from deepobs_analysis.tables.columns import Column


class Cell(NamedTuple):
    """A value of a table.

    Attributes:
        text: The value as people read it.
        is_best: Whether no other optimizer has a better one on the same problem.
    """

    text: str
    is_best: bool = False


def cells_of(columns: Sequence[Column], rows: Sequence[Standing]) -> list[list[Cell]]:
    """Lay out a table.

    Args:
        columns: The columns from left to right.
        rows: A row each. The best values are those of these rows.

    Returns:
        A list of cells for each row.
    """
    by_column = [_cells(column, rows) for column in columns]
    return [list(cells) for cells in zip(*by_column, strict=True)]


def _cells(column: Column, rows: Sequence[Standing]) -> list[Cell]:
    if column.goodness is None:
        return [Cell(column.text(row)) for row in rows]
    goodness = [column.goodness(row) for row in rows]
    by_problem: dict[str, list[tuple[float, ...]]] = {}
    for row, value in zip(rows, goodness, strict=True):
        if value is not None:
            by_problem.setdefault(row.problem, []).append(value)
    return [
        Cell(column.text(row), value is not None and _is_best(value, by_problem[row.problem]))
        for row, value in zip(rows, goodness, strict=True)
    ]


def _is_best(value: tuple[float, ...], of_problem: list[tuple[float, ...]]) -> bool:
    """Whether it is; where all are equal, or there is one only, nothing stands out."""
    return value == max(of_problem) and value != min(of_problem)
