"""The commands `baselines get` and `baselines show`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepobs import config
from deepobs.console import screen
from deepobs.console.options import as_json
from deepobs.console.screen import Column
from deepobs.console.text import counted
from deepobs_analysis import baselines

if TYPE_CHECKING:
    from deepobs_analysis.results import Results


@click.group("baselines", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Download and show published results for comparison.

    They are kept in the user's cache, or in DEEPOBS_BASELINE_DIR.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command("get")
@click.option("--url", metavar="URL", help=f"Address to download from.  [default: {baselines.URL}]")
@click.option(
    "--file",
    "archive",
    type=click.Path(path_type=Path),
    metavar="ARCHIVE",
    help="Unpack a local archive instead: .tar.gz, .tar.xz or .zip.",
)
def get(url: str | None, archive: Path | None) -> None:
    """Download the results that were published with the paper, about 470 MB.

    1080 runs: SGD, Momentum and Adam on eight problems, each with 36 learning rates, and the best
    of them with ten seeds.
    """
    if url is not None and archive is not None:
        raise click.UsageError(f"Give --url or --file, not both; got {url} and {archive}.")
    directory = config.get_baseline_dir()
    if archive is not None:
        is_new = baselines.install(directory, archive)
    else:
        source = url or baselines.URL
        if sys.stderr.isatty():
            click.echo(f"Downloading {source} ...", err=True)
        is_new = baselines.download(directory, source)
    screen.show_text(_summary(baselines.load_reference(), directory))
    if not is_new:
        screen.show_text("They existed already. To get them again, remove the directory first.")


@command.command("show")
@as_json
def show(as_json: bool) -> None:
    """Show the installed published results."""
    results = baselines.load_reference()
    counts = results.runs.groupby(["problem", "optimizer"]).agg(
        configurations=("configuration", "nunique"), runs=("configuration", "size")
    )
    rows = [(*key, *map(int, each)) for key, *each in counts.itertuples()]
    if as_json:
        names = ("problem", "optimizer", "configurations", "runs")
        screen.show_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    screen.show_text(_summary(results, config.get_baseline_dir()))
    headings = ("PROBLEM", "OPTIMIZER", "CONFIGURATIONS", "RUNS")
    screen.show_table(list(map(Column, headings)), rows)


def _summary(results: Results, directory: Path) -> str:
    skipped = f" Skipped: {counted(len(results.skipped), 'file')}." if results.skipped else ""
    runs, problems = counted(len(results.runs), "run"), counted(len(results.problems), "problem")
    return f"In {directory}: {runs} of {problems}.{skipped}"
