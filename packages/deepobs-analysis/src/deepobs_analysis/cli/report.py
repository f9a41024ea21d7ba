"""`deepobs report`: all about some results in one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepobs.console import screen
from deepobs_analysis.cli import options
from deepobs_analysis.output import write_output
from deepobs_analysis.report.page import TITLE

if TYPE_CHECKING:
    from deepobs_analysis.selection import Mode


@click.command("report")
@options.path
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    metavar="FILE",
    help="Where to write it.",
)
@click.option("--title", default=TITLE, show_default=True, help="What stands above it.")
@options.mode
@options.problems
@options.optimizers
@options.reference
def command(
    path: Path,
    output: Path,
    title: str,
    mode: Mode,
    problems: tuple[str, ...],
    optimizers: tuple[str, ...],
    reference: str | None,
) -> None:
    """Write all about some results into one page: figures, tables, scores and warnings.

    The page is a single file that needs no network. It can be opened by any browser, printed and
    passed on.

    \b
    Examples:
      deepobs report results
      deepobs report results --reference -o report.html
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    from deepobs_analysis.report import report

    results = options.read_results(
        path, problems=problems, optimizers=optimizers, reference=reference
    )
    write_output(output, report(results, mode=mode, title=title))
    screen.show_text(f"The report is in {output}.")
