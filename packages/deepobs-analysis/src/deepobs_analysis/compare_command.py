"""The command `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepobs.console import screen
from deepobs.console.offers import KINDS
from deepobs.console.options import as_json, completing
from deepobs_analysis.pairwise import compare
from deepobs_analysis.reading_options import (
    across_protocols_option,
    by_option,
    mode_option,
    naming_own_code,
    output_dir_option,
)

if TYPE_CHECKING:
    from deepobs_analysis.selection import Mode


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--on",
    "problems",
    multiple=True,
    metavar="PROBLEM",
    shell_complete=completing(KINDS["problems"].summaries),
    help="Compare only on this test problem. May be repeated.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="RESULTS",
    help="Where the runs of A and B are: a directory, or an experiment file.  [default: --out]",
)
@output_dir_option
@click.option(
    "--reference",
    metavar="SET",
    help='Where other results are: those of earlier_results have names as in "Adam (in '
    'earlier_results)". Sets that `deepobs baselines list` shows are known without it.',
)
@across_protocols_option
@by_option
@mode_option
@as_json
def command(
    first: str,
    second: str,
    problems: tuple[str, ...],
    results: Path | None,
    output_dir: Path,
    reference: str | None,
    across_protocols: bool,
    by: tuple[str, ...],
    mode: Mode,
    as_json: bool,
) -> None:
    """Compare two optimizers: by how much A is better than B, and how certain that is.

    A and B are names of optimizers in RESULTS, as `deepobs table` shows them; "Adam (published)",
    of a reference set; versions of your own code, as "Mine@newest", "Mine@older" or "Mine@" and the
    first characters of its fingerprint; or two directories or experiment files, whose common
    optimizers are compared.

    \b
    Examples:
      deepobs compare Mine Adam
      deepobs compare Mine "Adam (published)" --on quadratic_deep
      deepobs compare Mine@newest Mine@older
      deepobs compare results_before results_after
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    place = output_dir if results is None else results
    with naming_own_code(Path(first), Path(second), place):
        comparison = compare(
            first,
            second,
            place,
            problems=problems,
            reference=reference,
            mode=mode,
            output_dir=output_dir,
            across_protocols=across_protocols,
            by=by,
        )
    if as_json:
        screen.show_json(comparison.as_dict())
        return
    for warning in comparison.warnings:
        screen.show_message("Warning", warning)
    for columns, rows in comparison.tables():
        screen.show_table(columns, rows)
        screen.show()
    for sentence in comparison.notes:
        screen.show_text(sentence)
    for sentence in comparison.skipped_in_words():
        screen.show_message("Skipped", sentence)
