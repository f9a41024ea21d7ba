"""`deepobs baselines`: get and show the results that were published with the paper."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepobs import config
from deepobs.console import screen
from deepobs.console.commands import Group, as_json, show_help_without_command
from deepobs.console.screen import Column
from deepobs_analysis import baselines
from deepobs_analysis.wording import counted

if TYPE_CHECKING:
    from deepobs_analysis.results import Results


@click.group("baselines", cls=Group, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Get and show published results, to compare with.

    They are kept in the user's cache, or where DEEPOBS_BASELINE_DIR says.
    """
    show_help_without_command(context)


@command.command("get")
@click.option("--url", metavar="URL", help=f"Where to download from.  [default: {baselines.URL}]")
@click.option(
    "--file",
    "archive",
    type=click.Path(path_type=Path),
    metavar="ARCHIVE",
    help="Unpack an archive that is here: .tar.gz, .tar.xz or .zip.",
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
        _show_that_it_takes_time(url or baselines.URL)
        is_new = baselines.download(directory, url or baselines.URL)
    screen.show_text(_summary(baselines.load_reference(), directory))
    if not is_new:
        screen.show_text("They were there already. To get them anew, remove the directory first.")


@command.command("show")
@as_json
def show(as_json: bool) -> None:
    """Show which published results there are."""
    results = baselines.load_reference()
    counted = results.runs.groupby(["problem", "optimizer"]).agg(
        settings=("setting", "nunique"), runs=("setting", "size")
    )
    rows = [(*key, *map(int, counts)) for key, *counts in counted.itertuples()]
    if as_json:
        names = ("problem", "optimizer", "settings", "runs")
        screen.show_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    screen.show_text(_summary(results, config.get_baseline_dir()))
    columns = [Column("PROBLEM"), Column("OPTIMIZER"), Column("SETTINGS"), Column("RUNS")]
    screen.show_table(columns, rows)


def _summary(results: Results, directory: Path) -> str:
    left_out = f" Left out: {counted(len(results.left_out), 'file')}." if results.left_out else ""
    runs, problems = counted(len(results.runs), "run"), counted(len(results.problems), "problem")
    return f"In {directory}: {runs} of {problems}.{left_out}"


def _show_that_it_takes_time(url: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"Downloading {url} ...", err=True)
