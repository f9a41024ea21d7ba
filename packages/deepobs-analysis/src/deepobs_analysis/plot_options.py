"""The options of figures on the command line: `-p NAME=VALUE`, and `deepobs plot NAME --help`."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import click

from deepobs.console.text import clean
from deepobs.errors import closest, sentences
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HELP = ("-h", "--help")
_PLOT = "deepobs_analysis.plot"
_ARGUMENT = re.compile(r"^    (?P<name>\w+): (?P<text>.*(?:\n {8}.*)*)", re.MULTILINE)


class PlotCommand(click.Command):
    """The command `plot`, whose help lists the options of the figure that is named, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the figure before `--help` ends the command, which click does first of all."""
        # The name is the first argument that is no option, unless an option takes it as a value.
        names = [each for each in args if registry().plots.find(each) is not None]
        if names and not set(_HELP).isdisjoint(args):
            ctx.meta[_PLOT] = names[0]
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of the figure, then those of all figures."""
        name = ctx.meta.get(_PLOT)
        if name is None:
            return
        # Imported here as it comes with matplotlib, whose import takes a second.
        from deepobs_analysis.plots.appearance import COMMON

        draw = registry().plots.load(name)
        meanings = _documented(draw)
        own = [
            (f"{option}={_value(default)}", clean(meanings.get(option, "")))
            for option, default in own_options(draw).items()
        ]
        if own:
            with formatter.section(f"Options of {clean(name)} (-p NAME=VALUE), with defaults"):
                formatter.write_dl(own)
        with formatter.section("Options of all figures (-p NAME=VALUE), with defaults"):
            formatter.write_dl(
                [(f"{option}={each.default}", each.meaning) for option, each in COMMON.items()]
            )


def own_options(draw: Callable[..., Any]) -> dict[str, Any]:
    """The options of a figure besides those of all figures, with their defaults."""
    keywords = inspect.signature(draw).parameters.values()
    return {each.name: each.default for each in keywords if each.kind is each.KEYWORD_ONLY}


def require_options(name: str, given: Mapping[str, object], own: Mapping[str, object]) -> None:
    """Refuse options that a figure does not have.

    Args:
        name: The figure.
        given: The options that are given.
        own: Its options besides those of all figures, with their defaults.

    Raises:
        UsageError: There is no such option; the message lists similar ones and all.
    """
    from deepobs_analysis.plots.appearance import COMMON

    for option in given:
        if option not in own and option not in COMMON:
            listed = [f"{each}={_value(default)}" for each, default in own.items()]
            raise click.UsageError(
                sentences(
                    f"The plot {name} has no option {option!r}.",
                    closest(option, [*own, *COMMON]),
                    f"It has: {', '.join(listed)}." if listed else "",
                    f"All figures have: {', '.join(COMMON)}.",
                    f"`deepobs plot {name} --help` explains them.",
                )
            )


def _documented(draw: Callable[..., Any]) -> dict[str, str]:
    """What the docstring of a function, in Google style, says of its arguments."""
    docstring = inspect.getdoc(draw) or ""
    arguments = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    if arguments is None:
        return {}
    found = _ARGUMENT.finditer(arguments[1])
    return {each["name"]: " ".join(each["text"].replace("`", "").split()) for each in found}


def _value(default: object) -> str:
    return "none" if default is None else str(default)
