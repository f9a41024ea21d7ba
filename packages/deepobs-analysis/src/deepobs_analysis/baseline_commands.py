"""The commands `baselines list`, `show`, `verify`, `get` and `pack`."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from deepobs import config
from deepobs.console import screen
from deepobs.console.options import as_json
from deepobs.console.screen import Column
from deepobs.console.text import counted
from deepobs.errors import MissingDataError, UnknownNameError, closest, joined, sentences
from deepobs_analysis import baselines, result_archives
from deepobs_analysis.output import write_output
from deepobs_analysis.reference_names import PUBLISHED, archive_of, experiment_of, shipped_sets
from deepobs_analysis.results import Metric, SkippedFile
from deepobs_analysis.selection import select
from deepobs_analysis.summaries import summarize
from deepobs_analysis.targets import derived
from deepobs_analysis.verification import Repetition, repeat, sample
from deepobs_analysis.wording import number, performance_text, skipped_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deepobs_analysis.results import Results
    from deepobs_analysis.summaries import Summary


@click.group("baselines", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Reference sets: results to compare with. Pack your own for others.

    Some come with DeepOBS. The one that was published with the paper is kept in the user's cache,
    or in DEEPOBS_BASELINE_DIR.
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
    screen.show_text(_summary(baselines.load_reference(), str(directory)))
    if not is_new:
        screen.show_text("They existed already. To get them again, remove the directory first.")


@command.command("list")
@as_json
def list_sets(as_json: bool) -> None:
    """List the reference sets.

    Each can follow --reference by its name.
    """
    places = {PUBLISHED: config.get_baseline_dir(), **{k: archive_of(k) for k in shipped_sets()}}
    found = {name: result_archives.listed(place) for name, place in places.items()}
    if as_json:
        screen.show_json([{"set": name, **each._asdict()} for name, each in found.items()])
        return
    texts = [
        (name, each.runs, each.problems, f"{each.size / 2**20:.1f} MiB")
        if each.runs
        else (name, "-", "-", "not installed; `deepobs baselines get` downloads it")
        for name, each in found.items()
    ]
    headings = (("SET", False), ("RUNS", True), ("PROBLEMS", True), ("SIZE", False))
    screen.show_table([Column(*each) for each in headings], texts)


@command.command("show")
@click.argument("name", metavar="[SET]", default=PUBLISHED)
@click.option(
    "--experiment", is_flag=True, help="Print the experiment file that describes the runs instead."
)
@click.option(
    "--targets", "is_targets", is_flag=True, help="Print the targets that follow from it instead."
)
@as_json
def show(name: str, experiment: bool, is_targets: bool, as_json: bool) -> None:
    """Show what is in a reference set: by default, in the published one.

    For each optimizer on each problem: what was tried, the configuration that was chosen, and its
    test performance after the last epoch, mean and deviation over seeds.

    \b
    Examples:
      deepobs baselines show embedded-2026
      deepobs baselines show embedded-2026 --experiment > embedded-2026.toml
      deepobs baselines show results.zip --targets > targets.toml
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    if experiment:
        screen.show(_experiment(name).read_text().rstrip("\n"))
        return
    results = baselines.load_reference(name)
    if is_targets:
        screen.show("[targets]")
        for problem, value in derived(select(results)).items():
            screen.show(f"{json.dumps(problem)} = {value!r}")
        return
    rows = summarize(results, targets={})
    if as_json:
        screen.show_json(list(map(_shown, rows)))
        return
    place = str(config.get_baseline_dir()) if name == PUBLISHED else name
    screen.show_text(_summary(results, place))
    texts = [
        (row.problem, row.optimizer, row.selection.configurations, row.trials.runs,
         performance_text(row, "final"), row.selection.configuration)
        for row in rows
    ]  # fmt: skip
    headings = ("PROBLEM", "OPTIMIZER", "CONFIGURATIONS", "RUNS", "TEST PERFORMANCE")
    columns = [Column(each, each in headings[2:]) for each in (*headings, "CONFIGURATION")]
    screen.show_table(columns, texts)
    screen.show()
    for sentence in _origin(results, name):
        screen.show_text(sentence)


def _shown(row: Summary) -> dict[str, Any]:
    return {
        "problem": row.problem,
        "optimizer": row.optimizer,
        "configurations": row.selection.configurations,
        "runs": row.trials.runs,
        "mean": row.final.mean,
        "deviation": row.final.deviation,
        "configuration": row.selection.configuration,
    }


def _experiment(name: str) -> Path:
    """The experiment file of a set.

    Raises:
        MissingDataError: It has none.
    """
    file = experiment_of(name)
    if name not in shipped_sets() or not file.is_file():
        message = f"There is no experiment file of the set {name!r}."
        every = f"Sets that have one: {joined(shipped_sets()) or 'none'}."
        raise MissingDataError(sentences(message, closest(name, shipped_sets()), every))
    return file


def _origin(results: Results, name: str) -> Iterator[str]:
    """When, where and with what the runs of a set were executed."""
    started = sorted(filter(None, results.runs["started_at"]))
    if started:
        first, last = started[0][:10], started[-1][:10]
        yield f"Executed {f'on {first}' if first == last else f'from {first} to {last}'}."
    for column, words in (("versions", "With"), ("hardware", "On")):
        different = {json.dumps(each, sort_keys=True): each for each in results.runs[column]}
        for each in filter(None, different.values()):
            yield f"{words} {', '.join(f'{key} {value}' for key, value in each.items())}."
    if name in shipped_sets():
        content = hashlib.sha256(_experiment(name).read_bytes()).hexdigest()
        yield (
            f"`deepobs baselines show {name} --experiment` prints the experiment file of the runs, "
            f"whose SHA-256 is {content}."
        )


@command.command("verify")
@click.argument("name", metavar="SET")
@click.option(
    "--runs",
    "count",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many runs.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draw.")
@click.option(
    "--only",
    "patterns",
    multiple=True,
    metavar="KEY=PATTERN",
    help="Draw from a part: problem=, optimizer= or seed= and a pattern. May be repeated.",
)
@as_json
@click.pass_context
def verify(
    context: click.Context,
    name: str,
    count: int,
    seed: int,
    patterns: tuple[str, ...],
    as_json: bool,
) -> None:
    """Repeat a random sample of the runs of a reference set that comes with DeepOBS.

    A run is the same if its test performance before training is, to the digits that are kept, and
    if after training it differs by at most 1 % of what training changed, beyond those digits and
    one test example: in another order, sums are rounded differently, and training amplifies that.
    Where training failed, so that a run ends no better than it began, it must fail again. The exit
    code is 1 if a run differs, or if none could be repeated.

    \b
    Examples:
      deepobs baselines verify embedded-2026
      deepobs baselines verify embedded-2026 --runs 3 --only "problem=digits_*"
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    if name not in shipped_sets():
        message = f"There is no set {name!r} that comes with DeepOBS."
        every = f"Allowed: {joined(shipped_sets()) or 'none'}."
        raise UnknownNameError(sentences(message, closest(name, shipped_sets()), every))
    found = []
    rows = sample(baselines.load_reference(name), count, seed, patterns)
    for place, row in enumerate(rows, 1):
        screen.show_progress(f"[{place}/{len(rows)}] {row['optimizer']} on {row['problem']}")
        found.append(_Verified(repeat(row), Metric(row["metric"])))
    if as_json:
        screen.show_json([each.record for each in found])
    else:
        _show_verified(found)
    if any(each.verdict == _DIFFERS for each in found) or all(each.run.skipped for each in found):
        context.exit(1)


_DIFFERS = "differs"


class _Verified(NamedTuple):
    run: Repetition
    metric: Metric

    @property
    def verdict(self) -> str:
        if self.run.skipped:
            return "skipped"
        return "same" if self.run.is_same(self.metric) else _DIFFERS

    @property
    def record(self) -> dict[str, Any]:
        return {**asdict(self.run), "before": self.run.before, "after": self.run.after,
                "verdict": self.verdict}  # fmt: skip


def _show_verified(found: Sequence[_Verified]) -> None:
    """Show a table of repeated runs, and why others were skipped."""
    columns = [
        *map(Column, ("PROBLEM", "OPTIMIZER")),
        *(Column(name, True) for name in ("SEED", "KEPT", "NOW", "BEFORE", "AFTER")),
        *map(Column, ("VERDICT", "CONFIGURATION")),
    ]
    texts = []
    for run, verdict in ((each.run, each.verdict) for each in found):
        differences = [f"{each:.1e}" for each in (run.before, run.after)] if run.now else ["", ""]
        now = number(run.now[1]) if run.now else ""
        texts.append((run.problem, run.optimizer, run.seed, number(run.kept[1]), now, *differences,
                      verdict, run.configuration))  # fmt: skip
    screen.show_table(columns, texts)
    screen.show()
    screen.show_text(
        "KEPT and NOW: test performance after the last epoch. BEFORE: relative difference before "
        "training. AFTER: difference after training, beyond the digits that are kept and one test "
        "example, as a fraction of what training changed."
    )
    versions = {
        f"{name} was {there} and is {here}"
        for run, _ in found
        for name, (there, here) in (run.versions or {}).items()
    }
    if versions:
        screen.show_text(f"Versions differ: {joined(sorted(versions))}.")
    for reason in dict.fromkeys(run.skipped for run, _ in found if run.skipped):
        those = sorted({run.optimizer for run, _ in found if run.skipped == reason})
        screen.show_message("Skipped", f"{joined(those)}: {reason}")
    if all(run.skipped for run, _ in found):
        screen.show_message("Error", "No run was repeated, so that nothing was verified.")


@command.command("pack")
@click.argument("directory", metavar="RESULTS", type=click.Path(path_type=Path))
@click.argument("archive", metavar="FILE.zip", type=click.Path(path_type=Path))
def pack(directory: Path, archive: Path) -> None:
    """Pack a directory of results into one small file, for others to compare with.

    Commands take FILE.zip in place of a directory, also after --reference. Curves have three
    significant digits there, and five at their ends; epochs of a run have the same time each;
    losses of single batches, norms of gradients and points are left out.
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


def _summary(results: Results, place: str) -> str:
    skipped = f" Skipped: {counted(len(results.skipped), 'file')}." if results.skipped else ""
    runs, problems = counted(len(results.runs), "run"), counted(len(results.problems), "problem")
    return f"In {place}: {runs} of {problems}.{skipped}"
