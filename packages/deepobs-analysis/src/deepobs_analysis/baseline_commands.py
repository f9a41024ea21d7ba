"""The commands `baselines get`, `show` and `pack`."""

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
from deepobs.errors import MissingDataError
from deepobs_analysis import baselines, result_archives
from deepobs_analysis.output import write_output
from deepobs_analysis.results import SkippedFile
from deepobs_analysis.wording import skipped_text

if TYPE_CHECKING:
    from deepobs_analysis.results import Results


@click.group("baselines", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Results to compare with: get the published ones, and pack your own for others.

    The published ones are kept in the user's cache, or in DEEPOBS_BASELINE_DIR.
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
        is_new = result_archives.install(directory, archive)
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


@command.command("pack")
@click.argument("directory", metavar="RESULTS", type=click.Path(path_type=Path))
@click.argument("archive", metavar="FILE.zip", type=click.Path(path_type=Path))
def pack(directory: Path, archive: Path) -> None:
    """Pack a directory of results into one small file, for others to compare with.

    Commands take FILE.zip in place of a directory, also after --reference. Curves have five
    significant digits there; losses of single batches, norms of gradients and points are left out.
    """
    if archive.suffix != ".zip":
        raise click.UsageError(f"The file must be named *.zip; got {archive}.")
    if not result_archives.has_results(directory):
        raise MissingDataError(
            f"There are no results in {directory}. Give the directory that `deepobs run` or "
            "`deepobs bench` wrote results to."
        )
    content, left_out = result_archives.packed(directory)
    if left_out:
        skipped = [SkippedFile(name, reason) for name, reason in left_out.items()]
        screen.show_message("Warning", skipped_text(directory, skipped))
    write_output(archive, content)
    screen.show_text(f"Wrote {archive}, {len(content) / 2**20:.2f} MiB.")


def _summary(results: Results, directory: Path) -> str:
    skipped = f" Skipped: {counted(len(results.skipped), 'file')}." if results.skipped else ""
    runs, problems = counted(len(results.runs), "run"), counted(len(results.problems), "problem")
    return f"In {directory}: {runs} of {problems}.{skipped}"
