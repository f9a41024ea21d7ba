"""`deepobs table`: how the optimizers did, for terminals, papers and other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepobs.console import screen
from deepobs_analysis import tables
from deepobs_analysis.cli import options
from deepobs_analysis.output import write_output
from deepobs_analysis.standings import standings

if TYPE_CHECKING:
    from deepobs_analysis.selection import Mode


@click.command("table")
@options.path
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(tables.FORMATS)),
    default="text",
    show_default=True,
    help="What to write. CSV has all columns, and all numbers in full precision.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to a file instead of the screen.",
)
@click.option(
    "--columns",
    "names",
    metavar="NAMES",
    help=f"What to show, separated by commas: {', '.join(tables.COLUMNS)}.",
)
@options.mode
@options.problems
@options.optimizers
@options.reference
def command(
    path: Path,
    format_name: str,
    output: Path | None,
    names: str | None,
    mode: Mode,
    problems: tuple[str, ...],
    optimizers: tuple[str, ...],
    reference: str | None,
) -> None:
    """Show how each optimizer did on each test problem, with its best setting.

    Performances are means ± population standard deviations over the seeds of a setting. In text
    form, what the numbers are and how settings were chosen stands below them. LaTeX, Markdown and
    HTML have the best value of each problem in bold.

    \b
    Examples:
      deepobs table results
      deepobs table results --format latex -o table.tex
      deepobs table results --columns problem,optimizer,final,epochs
      deepobs table results --format csv > table.csv
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    columns = tables.columns_called(_names(names, format_name))
    results = options.read_results(
        path, problems=problems, optimizers=optimizers, reference=reference
    )
    rows = standings(results, mode=mode)
    if output is not None:
        write_output(output, tables.FORMATS[format_name](columns, rows))
    elif format_name == "text":
        heading, *lines = tables.as_text(columns, rows, screen.terminal_width())
        screen.show_heading(heading)
        for line in lines:
            screen.show(line)
        screen.show()
        for sentence in tables.notes(columns, rows):
            screen.show_text(sentence)
    else:
        screen.show(tables.FORMATS[format_name](columns, rows).rstrip("\n"))


def _names(names: str | None, format_name: str) -> list[str]:
    if names is not None:
        return [name.strip() for name in names.split(",") if name.strip()]
    return list(tables.COLUMNS if format_name == "csv" else tables.DEFAULT)
