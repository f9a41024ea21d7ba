"""Rows of the table of runs with columns as arrays.

pandas takes a tenth of a millisecond to look up a column, and a millisecond to select rows, which
for hundreds of pairs of problem and optimizer becomes more than all computations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepobs_analysis.results import Results


class _Columns(dict[str, "NDArray[Any]"]):
    """The columns of a table, which become arrays when they are needed first."""

    def __init__(self, table: pd.DataFrame) -> None:
        super().__init__()
        self.table = table

    def __missing__(self, name: str) -> NDArray[Any]:
        self[name] = self.table[name].to_numpy()
        return self[name]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows of `Results.runs`."""

    columns: _Columns
    places: NDArray[Any]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, name: str) -> NDArray[Any]:
        values: NDArray[Any] = self.columns[name][self.places]
        return values

    def each(self, name: str) -> list[Any]:
        """The values of a column, numbers as those of Python."""
        values: list[Any] = self[name].tolist()
        return values

    def first(self, name: str) -> Any:
        """What the first one has in a column."""
        return self.part(slice(1)).each(name)[0]

    def part(self, rows: NDArray[Any] | slice) -> Rows:
        """Some of them, by their indices, by a mask or by a slice."""
        return Rows(self.columns, self.places[rows])

    def having(self, name: str) -> Rows:
        """Those in which a column is not missing."""
        return self.part(is_known(self[name]))

    def all_have(self, name: str) -> bool:
        """Whether a column is missing in none of them."""
        return bool(is_known(self[name]).all())

    def as_table(self) -> pd.DataFrame:
        """The rows with all columns."""
        return self.columns.table.take(self.places)


def is_known(values: NDArray[Any]) -> NDArray[Any]:
    """Which values of a column are not missing."""
    known: NDArray[Any] = pd.notna(values)
    return known


def pairs_of(results: Results) -> list[tuple[str, str]]:
    """The pairs of a problem and an optimizer of which there are runs, sorted."""
    return sorted(set(zip(results.runs["problem"], results.runs["optimizer"], strict=True)))


def rows_by_pair(results: Results) -> dict[tuple[str, str], Rows]:
    """The runs of each optimizer on each problem."""
    columns = _Columns(results.runs)
    places: dict[Any, Any] = results.runs.groupby(["problem", "optimizer"]).indices
    return {pair: Rows(columns, places[pair]) for pair in places}


def rows_of_pair(results: Results, problem: str, optimizer: str) -> Rows:
    """The runs of an optimizer on a problem."""
    columns = _Columns(results.runs)
    is_of_pair = (columns["problem"] == problem) & (columns["optimizer"] == optimizer)
    return Rows(columns, np.flatnonzero(is_of_pair))
