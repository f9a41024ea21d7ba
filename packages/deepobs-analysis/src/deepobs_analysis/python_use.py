"""What commands show, in Python and notebooks: tables, scores, figures and the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs.console.offers import by_usable_name
from deepobs.errors import ArgumentError, UnknownNameError, closest, joined, sentences
from deepobs.html_views import notes_below
from deepobs.plugins import registry
from deepobs_analysis import table_columns, table_formats
from deepobs_analysis.output import write_output
from deepobs_analysis.reading import load
from deepobs_analysis.results import Results
from deepobs_analysis.scores import scores_of
from deepobs_analysis.summaries import as_frame, summarize

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd
    from matplotlib.figure import Figure

    from deepobs_analysis.scores import Scores
    from deepobs_analysis.selection import Mode
    from deepobs_analysis.summaries import Summary
    from deepobs_analysis.table_columns import SummaryColumn
    from deepobs_analysis.targets import Unit


class SummaryTable:
    """How each optimizer performed on each problem: text, in notebooks HTML with notes below.

    Attributes:
        rows: What is known of each optimizer on each problem.
        columns: What is shown of it.
        remarks: What there is to know about the results that it was made of.
    """

    def __init__(
        self,
        rows: Sequence[Summary],
        columns: Sequence[SummaryColumn],
        remarks: Sequence[str] = (),
    ) -> None:
        self.rows, self.columns, self.remarks = rows, columns, remarks

    @property
    def frame(self) -> pd.DataFrame:
        """All numbers, in full precision."""
        return as_frame(self.rows)

    @property
    def notes(self) -> list[str]:
        """The sentences below the table: what its numbers are, and what to beware of."""
        return [*table_formats.notes(self.columns, self.rows), *self.remarks]

    def __repr__(self) -> str:
        return "\n".join(table_formats.as_text(self.columns, self.rows))

    def _repr_html_(self) -> str:
        table = table_formats.as_html(self.columns, self.rows)
        bold = table_formats.meaning_of_bold(self.columns, self.rows)
        return table + notes_below([*bold, *self.notes])


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
        A table that shows itself; its `frame` has the numbers, its `notes` what they are.

    Raises:
        ArgumentError: Arguments of `load` were given with results.
        DeepOBSError: A column is unknown, or there is no such file or directory.
    """
    chosen = table_columns.columns_called(columns)
    loaded = _loaded(results, options)
    return SummaryTable(summarize(loaded, mode=mode), chosen, loaded.warnings)


def score(
    results: Results | str | os.PathLike[str],
    *,
    unit: Unit = "epochs",
    against: str | None = None,
    mode: Mode = "most",
    **options: Any,
) -> Scores:
    """Compare optimizers over all problems, as `deepobs score` does.

    Args:
        results: Results, or the directory or file to load them from.
        unit: Unit of times to the target.
        against: The optimizer that the others are compared with; `None` for SGD if it was run.
        mode: How configurations are chosen; see `select`.
        **options: Arguments of `load`, with a path.

    Returns:
        Scores that show themselves as a table.

    Raises:
        DeepOBSError: The optimizer is unknown, or there is no such file or directory.
    """
    return scores_of(summarize(_loaded(results, options), mode=mode), unit=unit, against=against)


def plot(name: str, results: Results | str | os.PathLike[str], **options: Any) -> Figure:
    """Draw a figure of results, as `deepobs plot` does.

    Args:
        name: Its name: `deepobs list plots` shows all.
        results: Results, or the directory or file to load them from.
        **options: Options of the figure: `deepobs plot NAME --help` lists them.

    Returns:
        The figure, which notebooks show; `savefig` writes it to a file.

    Raises:
        DeepOBSError: The figure or an option is unknown, or there is nothing to draw.
    """
    draw = plot_called(name)
    # Imported here as it comes with matplotlib, whose import takes a second.
    from deepobs_analysis.plots.style import styled

    return styled(draw)(_loaded(results, {}), **options)


def report(
    results: Results | str | os.PathLike[str],
    output: str | os.PathLike[str] = "report.html",
    *,
    mode: Mode = "most",
    title: str | None = None,
    **options: Any,
) -> Path:
    """Write a report on results as one HTML page, as `deepobs report` does.

    Args:
        results: Results, or the directory or file to load them from.
        output: The file to write.
        mode: How configurations are chosen; see `select`.
        title: The heading of the page; `None` for "Results of DeepOBS".
        **options: Arguments of `load`, with a path.

    Returns:
        The file.

    Raises:
        DeepOBSError: There is no such file or directory, or the page cannot be written.
    """
    # Imported here as it comes with matplotlib, whose import takes a second.
    from deepobs_analysis.report import report as page

    file = Path(output)
    write_output(file, page(_loaded(results, options), mode=mode, title=title))
    return file


def plot_called(name: str) -> Callable[..., Figure]:
    """The function that draws a figure.

    Raises:
        UnknownNameError: No installed package has one of this name.
    """
    plots = registry().plots
    if not isinstance(name, str) or plots.find(name) is None:
        names = list(by_usable_name(plots))
        message = f"There is no plot {name!r}."
        every = f"Known: {joined(names)}."
        raise UnknownNameError(sentences(message, closest(str(name), names), every))
    draw: Callable[..., Figure] = plots.load(name)
    return draw


def _loaded(results: Results | str | os.PathLike[str], options: dict[str, Any]) -> Results:
    """Results as they are, or those at a path.

    Raises:
        ArgumentError: Arguments of `load` were given with results, or it is neither.
    """
    if not isinstance(results, Results):
        return load(results, **options)
    if options:
        raise ArgumentError(
            f"These results are loaded already; got {', '.join(options)} besides. Give a path, or "
            "pass that to deepobs_analysis.load()."
        )
    return results
