"""`deepobs plot`: draw a figure of results."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepobs.console import screen
from deepobs.console.commands import completing_offers
from deepobs.console.offers import by_usable_name
from deepobs.console.parsing import parsed_options
from deepobs.errors import UnknownNameError, closest, sentences
from deepobs.plugins import registry
from deepobs_analysis.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deepobs_analysis.selection import Mode

_MODE = "mode"


def _names() -> list[str]:
    return list(by_usable_name(registry().plots))


@click.command("plot")
@click.argument("name", shell_complete=completing_offers("plots"))
@options.path
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write it: .pdf, .svg or .png.  [default: NAME.pdf]",
)
@options.problems
@options.optimizers
@options.reference
@options.mode
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A further option of the plot, such as show=median. May be repeated.",
)
@click.pass_context
def command(
    context: click.Context,
    name: str,
    path: Path,
    output: Path | None,
    problems: tuple[str, ...],
    optimizers: tuple[str, ...],
    reference: str | None,
    mode: Mode,
    parameters: tuple[str, ...],
) -> None:
    """Draw the figure NAME of the results in RESULTS, a directory or a file.

    `deepobs list plots` shows which there are. An optimizer has the same colour in every figure of
    the same results.

    \b
    Examples:
      deepobs plot performance results --problem quadratic_deep -p show=median
      deepobs plot sensitivity results -o sensitivity.svg
      deepobs plot profiles results --reference
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    _require_known(name)
    given = parsed_options({}, parameters, "-p", "The option")
    plot = registry().plots.load(name)
    known = _options_of(plot)
    if _MODE in known or _is_given(context, _MODE):
        given.setdefault(_MODE, mode)
    _require_options(name, given, known)
    from deepobs_analysis.plots.output import format_of, write
    from deepobs_analysis.plots.style import same_looks

    file = output or Path(f"{name.rpartition(':')[2]}.pdf")
    format_of(file)  # a mistake is told before the results are read
    results = options.read_results(path, reference=reference)
    with same_looks(results.optimizers):
        figure = plot(options.part(results, problems=problems, optimizers=optimizers), **given)
    write(figure, file)
    screen.show_text(f"Written to {file}")


def _require_known(name: str) -> None:
    if registry().plots.find(name) is None:
        names = _names()
        message = f"There is no plot {name!r}."
        listed = f"There are: {', '.join(names)}."
        raise UnknownNameError(sentences(message, closest(name, names), listed))


def _is_given(context: click.Context, option: str) -> bool:
    return context.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE


def _options_of(plot: Callable[..., Any]) -> dict[str, object]:
    """The options of a plot and their defaults."""
    parameters = inspect.signature(plot).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


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
