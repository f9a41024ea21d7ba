"""The commands `table`, `score`, `report` and `plot`, and the options that they share."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from deepobs.console import screen
from deepobs.console.offers import KINDS, by_usable_name
from deepobs.console.options import as_json, completing, parsed_options
from deepobs.console.screen import Column
from deepobs.console.text import counted
from deepobs.errors import MissingDataError, UnknownNameError, closest, sentences
from deepobs.plugins import registry
from deepobs_analysis import table_columns, table_formats
from deepobs_analysis.baselines import load_reference
from deepobs_analysis.code_versions import CODE_CHOICES
from deepobs_analysis.output import write_output
from deepobs_analysis.reading import load
from deepobs_analysis.scores import USUAL_BASE, scores_of
from deepobs_analysis.selection import EXPLANATIONS, MODES
from deepobs_analysis.summaries import summarize
from deepobs_analysis.targets import Unit
from deepobs_analysis.wording import MISSING, estimate_text, number, speedup_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepobs_analysis.code_versions import CodeChoice
    from deepobs_analysis.results import Results
    from deepobs_analysis.scores import Estimate, Score, Scores
    from deepobs_analysis.selection import Mode

_PUBLISHED = ""
"""Stands for the published results, where `--reference` names no directory."""

_path = click.argument("path", metavar="RESULTS", type=click.Path(path_type=Path))
_problems = click.option(
    "--problem",
    "problems",
    multiple=True,
    metavar="NAME",
    shell_complete=completing(KINDS["problems"].summaries),
    help="Include only this test problem. May be repeated.",
)
_optimizers = click.option(
    "--optimizer",
    "optimizers",
    multiple=True,
    metavar="NAME",
    shell_complete=completing(KINDS["optimizers"].summaries),
    help="Include only this optimizer of RESULTS. May be repeated.",
)
_mode = click.option(
    "--mode",
    type=click.Choice(MODES),
    default="most",
    show_default=True,
    help="Which configuration of an optimizer is shown. "
    + "; ".join(f"{name}: {EXPLANATIONS[name]}" for name in MODES)
    + ".",
)
_reference = click.option(
    "--reference",
    is_flag=False,
    flag_value=_PUBLISHED,
    metavar="[DIR]",
    help="Show the published results beside these, or those in DIR. "
    "Without DIR, put --reference after RESULTS.",
)


_code = click.option(
    "--code",
    type=click.Choice(CODE_CHOICES),
    default="newest",
    show_default=True,
    help="Which results to include where your own code changed between runs.",
)


@click.command("table")
@_path
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(table_formats.FORMATS)),
    default="text",
    show_default=True,
    help="Output format. CSV has all columns, and all numbers in full precision.",
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
    help=f"Columns to show, separated by commas: {', '.join(table_columns.COLUMNS)}.",
)
@_mode
@_problems
@_optimizers
@_reference
@_code
def table(
    path: Path,
    format_name: str,
    output: Path | None,
    names: str | None,
    mode: Mode,
    problems: tuple[str, ...],
    optimizers: tuple[str, ...],
    reference: str | None,
    code: CodeChoice,
) -> None:
    """Show how each optimizer performed on each test problem, with its best configuration.

    Performances are means ± population standard deviations over the seeds of a configuration. In
    text format, notes below the table explain the numbers and how configurations were selected.
    LaTeX, Markdown and HTML show the best value of each problem in bold.

    \b
    Examples:
      deepobs table results
      deepobs table results --format latex -o table.tex
      deepobs table results --columns problem,optimizer,final,epochs
      deepobs table results --format csv > table.csv
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    if names is not None:
        wanted = [name.strip() for name in names.split(",") if name.strip()]
    else:
        wanted = list(table_columns.COLUMNS if format_name == "csv" else table_columns.DEFAULT)
    columns = table_columns.columns_called(wanted)
    results = _read(path, problems=problems, optimizers=optimizers, reference=reference, code=code)
    rows = summarize(results, mode=mode)
    if output is not None:
        write_output(output, table_formats.FORMATS[format_name](columns, rows))
    elif format_name == "text":
        heading, *lines = table_formats.as_text(columns, rows, screen.terminal_width())
        screen.show(heading, is_heading=True)
        for line in lines:
            screen.show(line)
        screen.show()
        for sentence in table_formats.notes(columns, rows):
            screen.show_text(sentence)
    else:
        screen.show(table_formats.FORMATS[format_name](columns, rows).rstrip("\n"))


@click.command("score")
@_path
@click.option(
    "--unit",
    type=click.Choice(get_args(Unit)),
    default="epochs",
    show_default=True,
    help="Unit of times to the target.",
)
@click.option(
    "--against",
    metavar="NAME",
    help=f"The optimizer that the others are compared with.  [default: {USUAL_BASE}]",
)
@_mode
@_problems
@_optimizers
@_reference
@_code
@as_json
def score(
    path: Path,
    unit: Unit,
    against: str | None,
    mode: Mode,
    problems: tuple[str, ...],
    optimizers: tuple[str, ...],
    reference: str | None,
    code: CodeChoice,
    as_json: bool,
) -> None:
    """Compare optimizers over all problems: how soon they reach targets, and how far they get.

    Only problems that all optimizers were run on count; the others are listed.

    \b
    Examples:
      deepobs score results
      deepobs score results --unit seconds --against Momentum
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    results = _read(path, problems=problems, optimizers=optimizers, reference=reference, code=code)
    scores = scores_of(summarize(results, mode=mode), unit=unit, against=against)
    if as_json:
        screen.show_json(asdict(scores))
        return
    _show_scores(scores)
    if scores.timed:
        _show_ratios(scores)
    _show_problems(scores)


@click.command("report")
@_path
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    metavar="FILE",
    help="The file to write.",
)
@click.option("--title", help="Heading of the page.  [default: Results of DeepOBS]")
@_mode
@_problems
@_optimizers
@_reference
@_code
def report(
    path: Path,
    output: Path,
    title: str | None,
    mode: Mode,
    problems: tuple[str, ...],
    optimizers: tuple[str, ...],
    reference: str | None,
    code: CodeChoice,
) -> None:
    """Write a report on results as one HTML page: figures, tables, scores and caveats.

    The page is a single file that needs no network. Any browser opens and prints it.

    \b
    Examples:
      deepobs report results
      deepobs report results --reference -o report.html
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    # Imported here as it comes with matplotlib, whose import takes a second.
    from deepobs_analysis.report import report as write_report

    results = _read(path, problems=problems, optimizers=optimizers, reference=reference, code=code)
    write_output(output, write_report(results, mode=mode, title=title))
    screen.show_text(f"The report is in {output}.")


@click.command("plot")
@click.argument("name", shell_complete=completing(KINDS["plots"].summaries))
@_path
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to write: .pdf, .svg or .png.  [default: NAME.pdf]",
)
@_problems
@_optimizers
@_reference
@_code
@_mode
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the plot, such as show=median. May be repeated.",
)
@click.pass_context
def plot(
    context: click.Context,
    name: str,
    path: Path,
    output: Path | None,
    problems: tuple[str, ...],
    optimizers: tuple[str, ...],
    reference: str | None,
    code: CodeChoice,
    mode: Mode,
    parameters: tuple[str, ...],
) -> None:
    """Draw the figure NAME of the results in RESULTS, a directory or a file.

    `deepobs list plots` shows all figures. An optimizer has the same color in every figure of the
    same results.

    \b
    Examples:
      deepobs plot performance results --problem quadratic_deep -p show=median
      deepobs plot sensitivity results -o sensitivity.svg
      deepobs plot profiles results --reference
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    if registry().plots.find(name) is None:
        names = list(by_usable_name(registry().plots))
        message = f"There is no plot {name!r}."
        raise UnknownNameError(
            sentences(message, closest(name, names), f"Known: {', '.join(names)}.")
        )
    given = parsed_options({}, parameters, "-p", "The option")
    draw = registry().plots.load(name)
    keywords = inspect.signature(draw).parameters.values()
    known = {each.name: each.default for each in keywords if each.kind is each.KEYWORD_ONLY}
    is_given = context.get_parameter_source("mode") is click.core.ParameterSource.COMMANDLINE
    if "mode" in known or is_given:
        given.setdefault("mode", mode)
    _require_options(name, given, known)
    from deepobs_analysis.plots.rendering import format_of, write
    from deepobs_analysis.plots.style import same_looks

    file = output or Path(f"{name.rpartition(':')[2]}.pdf")
    # A wrong name is reported before results are read, which may take long.
    format_of(file)
    results = _read(path, reference=reference, code=code)
    # The looks of all optimizers, then a part of them: colors do not depend on the selection.
    with same_looks(results.optimizers):
        figure = draw(_part(results, problems, optimizers), **given)
    write(figure, file)
    screen.show_text(f"Written to {file}")


def _read(
    path: Path,
    *,
    problems: Sequence[str] = (),
    optimizers: Sequence[str] = (),
    reference: str | None = None,
    code: CodeChoice,
) -> Results:
    """Read the results that the arguments of a command describe, and warn of skipped files.

    `reference` is a directory, `_PUBLISHED`, or `None`; its optimizers are not filtered.
    """
    results = load(path, code=code)
    _warn_of_skipped(path, results)
    if results.runs.empty:
        raise MissingDataError(
            f"There is no run in {path}. Give the directory that `deepobs run` or `deepobs bench` "
            "wrote results to."
        )
    if reference is not None:
        results = results.beside(_read_reference(reference))
        if not results.runs["is_reference"].any():
            screen.show_message("Warning", "The reference set has none of these problems.")
    return _part(results, problems, optimizers)


def _part(results: Results, problems: Sequence[str], optimizers: Sequence[str]) -> Results:
    reference = results.runs.loc[results.runs["is_reference"], "optimizer"].unique()
    names = [*optimizers, *reference] if optimizers else None
    return results.only(optimizers=names).only(problems=problems or None)


def _read_reference(directory: str) -> Results:
    if directory == _PUBLISHED:
        return load_reference()
    results = load(directory)
    _warn_of_skipped(Path(directory), results)
    if results.runs.empty:
        raise MissingDataError(
            f"There is no run in {directory} to compare with. Give a directory of results, or "
            "none for the published ones."
        )
    return results


def _warn_of_skipped(path: Path, results: Results) -> None:
    skipped = results.skipped
    if skipped:
        such_as = "" if len(skipped) == 1 else "such as "
        screen.show_message(
            "Warning",
            f"{counted(len(skipped), 'file')} in {path} skipped, {such_as}{skipped[0].file}: "
            f"{skipped[0].reason}.",
        )


def _show_scores(scores: Scores) -> None:
    against = f" VS {scores.base}" if scores.base else ""
    headings = ("SCORE", f"SPEEDUP{against}", "NORMALIZED", f"BETTER SEED{against}")
    columns = [Column("OPTIMIZER"), *(Column(heading) for heading in headings)]
    screen.show_table(columns, [_row(score) for score in scores.scores])
    screen.show()
    screen.show_text(
        "Score: area under the performance profile of the times to the target, up to four times "
        "that of the fastest; an optimizer that is the fastest on every problem has 1. Speedup: "
        "geometric mean over the problems on which both optimizers reach the target; how many "
        "these are stands in parentheses. Normalized: performance after the last epoch, on a scale "
        "where an untrained model has 0 and the target is 1; interquartile mean over all seeds. "
        "Better seed: probability that a seed of this optimizer ends better than a seed of the "
        "one it is compared with. In brackets: 95 % intervals; in parentheses, how many seeds they "
        "rest on. One seed has no interval."
    )


def _row(score: Score) -> list[str]:
    return [
        score.optimizer,
        number(score.benchmark_score, 3),
        speedup_text(score.speedup),
        _estimate(score.normalized),
        _estimate(score.improvement),
    ]


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return MISSING
    return estimate_text(estimate.value, estimate.interval, estimate.seeds)


def _show_ratios(scores: Scores) -> None:
    """Show how many times as long as the fastest each optimizer takes on each problem."""
    screen.show()
    columns = [
        Column("PROBLEM"),
        Column("TARGET", is_number=True),
        *(Column(score.optimizer, is_number=True) for score in scores.scores),
        Column("SOURCE OF THE TARGET"),
    ]
    rows = [
        [
            problem,
            number(scores.targets[problem].value),
            *(number(score.ratios[problem], 3) for score in scores.scores),
            scores.targets[problem].source,
        ]
        for problem in scores.timed
    ]
    screen.show_table(columns, rows)
    screen.show()
    screen.show_text(
        f"Median {scores.unit} to the target, divided by those of the fastest optimizer; ∞: half "
        "of the seeds or more do not reach it."
    )


def _show_problems(scores: Scores) -> None:
    """Show which problems count, and why others do not."""
    timed, compared = (counted(len(of), "problem") for of in (scores.timed, scores.compared))
    if set(scores.timed) == set(scores.compared):
        screen.show_text(f"All columns of the first table rest on {timed}.")
    else:
        screen.show_text(
            f"SCORE and SPEEDUP rest on {timed}, NORMALIZED and BETTER SEED on {compared}."
        )
    by_reason: dict[str, list[str]] = {}
    for problem, reason in scores.skipped.items():
        by_reason.setdefault(reason, []).append(problem)
    for reason, problems in by_reason.items():
        screen.show_message("Skipped", f"{', '.join(problems)}: {reason}.")


def _require_options(name: str, given: Mapping[str, object], known: Mapping[str, object]) -> None:
    for option in given:
        if option not in known:
            listed = ", ".join(f"{each}={default}" for each, default in known.items())
            raise click.UsageError(
                sentences(
                    f"The plot {name} has no option {option!r}.",
                    closest(option, known),
                    f"It has: {listed}." if listed else "It has none.",
                )
            )
