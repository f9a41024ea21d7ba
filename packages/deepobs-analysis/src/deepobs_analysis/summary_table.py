"""The table of `deepobs table` in Python and notebooks: `deepobs.table`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError
from deepobs_analysis import table_columns, table_formats
from deepobs_analysis.reading import load
from deepobs_analysis.results import Results
from deepobs_analysis.summaries import as_frame, summarize

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from deepobs_analysis.selection import Mode
    from deepobs_analysis.summaries import Summary
    from deepobs_analysis.table_columns import SummaryColumn


class SummaryTable:
    """How each optimizer performed on each problem: text, in notebooks HTML.

    Attributes:
        rows: What is known of each optimizer on each problem.
        columns: What is shown of it.
    """

    def __init__(self, rows: Sequence[Summary], columns: Sequence[SummaryColumn]) -> None:
        self.rows, self.columns = rows, columns

    @property
    def frame(self) -> pd.DataFrame:
        """All numbers, in full precision."""
        return as_frame(self.rows)

    def __repr__(self) -> str:
        return "\n".join(table_formats.as_text(self.columns, self.rows))

    def _repr_html_(self) -> str:
        return table_formats.as_html(self.columns, self.rows)


def table(
    results: Results | str | os.PathLike[str],
    *,
    columns: Iterable[str] = table_columns.DEFAULT,
    mode: Mode = "most",
    **options: Any,
) -> SummaryTable:
    """Show how each optimizer performed on each test problem, as `deepobs table` does.

    Args:
        results: Results, or the directory or file to load them from.
        columns: Names of the columns to show.
        mode: How configurations are chosen; see `select`.
        **options: Arguments of `load`, with a path.

    Returns:
        A table that shows itself; its `frame` has the numbers.

    Raises:
        ArgumentError: Arguments of `load` were given with results.
        DeepOBSError: A column is unknown, or there is no such file or directory.
    """
    if isinstance(results, Results):
        if options:
            raise ArgumentError(
                f"These results are loaded already; got {', '.join(options)} besides. Give a path, "
                "or pass that to deepobs_analysis.load()."
            )
    else:
        results = load(Path(results), **options)
    return SummaryTable(summarize(results, mode=mode), table_columns.columns_called(columns))
