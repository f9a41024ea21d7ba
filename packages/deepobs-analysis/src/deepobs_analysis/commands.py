"""The commands `table`, `score`, `report` and `plot`."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from deepobs.console import screen
from deepobs.console.offers import KINDS
from deepobs.console.options import as_json, completing, parsed_options
from deepobs.console.screen import Column
from deepobs_analysis import performance_matrix, score_formats, table_columns, table_formats
from deepobs_analysis.measures import Interval
from deepobs_analysis.output import write_output
from deepobs_analysis.performance_matrix import Layout
from deepobs_analysis.plot_options import PlotCommand, own_options, require_options
from deepobs_analysis.python_use import plot_called
from deepobs_analysis.reading_options import mode_option, reads_results
from deepobs_analysis.scores import EXPLANATION, USUAL_BASE, scores_of
from deepobs_analysis.summaries import summarize
from deepobs_analysis.targets import Unit
from deepobs_analysis.wording import number, ratio_text

if TYPE_CHECKING:
    from deepobs_analysis.reading_options import Reading
    from deepobs_analysis.scores import Scores
    from deepobs_analysis.selection import Mode

_MOST_COLUMNS = 8
"""The most optimizers that have a column each; more have a line each."""


@click.command("table")
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
@click.option(
    "--layout",
    type=click.Choice(["rows", *get_args(Layout)]),
    help="LaTeX: test performances with problems or optimizers as columns, fit for one column of "
    "an article; or a row for each pair of them, with the columns that --columns names.  "
    "[default: problems, or rows with --columns]",
)
@mode_option
@reads_results
def table(
    format_name: str,
    output: Path | None,
    names: str | None,
    layout: Layout | Literal["rows"] | None,
    mode: Mode,
    reading: Reading,
) -> None:
    """Show how each optimizer performed on each test problem, with its best configuration.

    Performances are means ± population standard deviations over the seeds of a configuration. In
    text format, notes below the table explain the numbers and how configurations were selected.
    Markdown and HTML show the best value of each problem in bold. LaTeX has problems as columns and
    optimizers as rows, and all that are not significantly worse than the best in bold; the caption
    explains it.

    \b
    Examples:
      deepobs table results
      deepobs table results --format latex -o table.tex
      deepobs table results --columns problem,optimizer,final,epochs
      deepobs table results --format csv > table.csv
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    if layout not in (None, "rows"):
        if format_name != "latex":
            raise click.UsageError(f"--layout {layout} needs --format latex.")
        if names is not None:
            raise click.UsageError(f"--layout {layout} shows test performances: omit --columns.")
    if format_name == "latex" and names is None and layout != "rows":
        rows = summarize(reading.results(), mode=mode)
        text = performance_matrix.as_latex(rows, layout or "problems")
        if output is None:
            screen.show(text.rstrip("\n"))
        else:
            write_output(output, text)
        return
    usual = table_columns.COLUMNS if format_name == "csv" else table_columns.DEFAULT
    columns = table_columns.columns_called(usual if names is None else names)
    rows = summarize(reading.results(), mode=mode)
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
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["text", *score_formats.FORMATS]),
    default="text",
    show_default=True,
    help="Output format. CSV has all numbers in full precision.",
)
@mode_option
@reads_results
@as_json
def score(
    unit: Unit,
    against: str | None,
    format_name: str,
    mode: Mode,
    reading: Reading,
    as_json: bool,
) -> None:
    """Compare optimizers over all problems: how soon they reach targets, and how far they get.

    Only problems that all optimizers were run on count; the others are listed.

    \b
    Examples:
      deepobs score results
      deepobs score results --unit seconds --against Momentum
      deepobs score results --format latex > scores.tex
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    scores = scores_of(summarize(reading.results(), mode=mode), unit=unit, against=against)
    if as_json:
        if format_name != "text":
            raise click.UsageError("Give --json or --format, not both.")
        screen.show_json(_for_programs(asdict(scores)))
        return
    if format_name != "text":
        screen.show(score_formats.FORMATS[format_name](scores).rstrip("\n"))
        return
    _show_scores(scores)
    if scores.timed:
        _show_ratios(scores)
    screen.show_text(scores.basis)
    for sentence in scores.skipped_in_words():
        screen.show_message("Skipped", sentence)


@click.command("report")
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
@mode_option
@reads_results
def report(
    output: Path,
    title: str | None,
    mode: Mode,
    reading: Reading,
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

    write_output(output, write_report(reading.results(), mode=mode, title=title))
    screen.show_text(f"The report is in {output}.")


@click.command("plot", cls=PlotCommand)
@click.argument("name", shell_complete=completing(KINDS["plots"].summaries))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to write: .pdf, .svg or .png.  [default: NAME.pdf]",
)
@mode_option
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the figure, such as show=median. `deepobs plot NAME --help` lists all. May "
    "be repeated.",
)
@reads_results
@click.pass_context
def plot(
    context: click.Context,
    name: str,
    output: Path | None,
    reading: Reading,
    mode: Mode,
    parameters: tuple[str, ...],
) -> None:
    """Draw the figure NAME of the results in RESULTS, a directory or a file.

    `deepobs list plots` shows all figures, `deepobs plot NAME --help` the options of one. An
    optimizer has the same color and marks in every figure of the same results.

    \b
    Examples:
      deepobs plot performance results --problem quadratic_deep -p show=median
      deepobs plot overview results -p highlight=Adam -p width=one -p notes=file
      deepobs plot sensitivity results -o sensitivity.svg
      deepobs plot profiles results --reference
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    draw = plot_called(name)
    given = parsed_options({}, parameters, "-p", "The option")
    known = own_options(draw)
    is_given = context.get_parameter_source("mode") is click.core.ParameterSource.COMMANDLINE
    if "mode" in known or is_given:
        given.setdefault("mode", mode)
    require_options(name, given, known)
    from deepobs_analysis.plots.looks import same_looks
    from deepobs_analysis.plots.rendering import format_of, write, write_notes
    from deepobs_analysis.plots.style import styled

    file = output or Path(f"{name.rpartition(':')[2]}.pdf")
    # A wrong name is reported before results are read, which may take long.
    format_of(file)
    results = reading.everything()
    # The looks of all optimizers, then a part of them: colors do not depend on the selection.
    with same_looks(results.optimizers):
        figure = styled(draw)(reading.part_of(results), **given)
    write(figure, file)
    screen.show_text(f"Written to {file}")
    if given.get("notes") == "file":
        screen.show_text(f"Notes written to {write_notes(figure, file)}")


def _for_programs(value: Any) -> Any:
    """A value of JSON whose tuples, except intervals, have names, and whose NaN are null."""
    if isinstance(value, dict):
        return {name: _for_programs(each) for name, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict") and not isinstance(value, Interval):
        return _for_programs(value._asdict())
    if isinstance(value, (list, tuple)):
        return [_for_programs(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _show_scores(scores: Scores) -> None:
    headings = [Column(heading.upper()) for heading in scores.headings]
    screen.show_table(headings, scores.cells)
    screen.show()
    screen.show_text(EXPLANATION)


def _show_ratios(scores: Scores) -> None:
    """Show how many times as long as the fastest each optimizer takes on each problem."""
    screen.show()
    ratios = {
        problem: [ratio_text(each.ratios[problem], each.seeds[problem]) for each in scores.scores]
        for problem in scores.timed
    }
    targets = {problem: scores.targets[problem] for problem in scores.timed}
    names = [score.optimizer for score in scores.scores]
    target, source = Column("TARGET", is_number=True), Column("SOURCE OF THE TARGET")
    rows: list[tuple[str, ...]]
    if len(names) > _MOST_COLUMNS:  # such as those of a reference set
        columns = [Column("OPTIMIZER"), *(Column(name, is_number=True) for name in ratios)]
        screen.show_table(columns, list(zip(names, *ratios.values(), strict=True)))
        screen.show()
        columns = [Column("PROBLEM"), target, source]
        rows = [(name, number(each.value), each.source) for name, each in targets.items()]
    else:
        columns = [Column("PROBLEM"), target, *(Column(name, is_number=True) for name in names)]
        columns.append(source)
        rows = [
            (name, number(each.value), *ratios[name], each.source) for name, each in targets.items()
        ]
    screen.show_table(columns, rows)
    screen.show()
    screen.show_text(
        f"Median {scores.unit} to the target, divided by those of the fastest optimizer, where "
        "more than half of the seeds reach it."
    )
