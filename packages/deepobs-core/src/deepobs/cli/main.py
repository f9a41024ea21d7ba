"""The command line `deepobs`: its commands, and what becomes of their errors."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import traceback
import warnings
from pathlib import Path
from typing import TextIO

import click
from importlib_metadata import PackageNotFoundError, version

from deepobs.__about__ import __version__
from deepobs.cli import screen
from deepobs.cli.completion import PROGRAM, VARIABLE
from deepobs.cli.groups import PluginGroup, show_help_without_command
from deepobs.cli.text import clean
from deepobs.errors import (
    CheckpointWarning,
    DeepOBSError,
    OutputError,
    PluginWarning,
    closest,
    message_of,
    sentences,
)
from deepobs.plugins import CommandSpec
from deepobs.plugins.provenance import provenance_of

_FOUND_WRONG = 1
_USAGE_ERROR = 2
_INTERRUPTED = 130
_OUR_WARNINGS = (CheckpointWarning, PluginWarning)

BUILT_IN = (
    CommandSpec(
        name="list",
        target="deepobs.cli.listing:command",
        summary="Show what is installed: problems, optimizers, data sets and more",
    ),
    CommandSpec(
        name="info",
        target="deepobs.cli.info:command",
        summary="Show all about one problem, optimizer, data set or suite",
    ),
    CommandSpec(
        name="run",
        target="deepobs.cli.run:command",
        summary="Train an optimizer on a test problem",
    ),
    CommandSpec(
        name="estimate",
        target="deepobs.cli.estimate:command",
        summary="Measure how long a run will take and how much memory it needs",
    ),
    CommandSpec(
        name="data",
        target="deepobs.cli.data:command",
        summary="Check for, download and verify data sets",
    ),
    CommandSpec(
        name="plugins",
        target="deepobs.cli.plugins:command",
        summary="Show the installed plugins, and why one could not be loaded",
    ),
    CommandSpec(
        name="doctor",
        target="deepobs.cli.doctor:command",
        summary="Look at the installation, and say what is wrong and how to mend it",
    ),
    CommandSpec(
        name="completion",
        target="deepobs.cli.completion:command",
        summary="Let the shell complete commands, options and names",
    ),
)


def main(args: list[str] | None = None) -> int:
    """Carry out one command.

    Args:
        args: What follows `deepobs` on the command line; `None` for that of this process.

    Returns:
        The exit code: 0; 1 where a command found something wrong; 2 for a mistake in the command
        or an error that DeepOBS raised; 130 after an interruption from the keyboard.
    """
    if VARIABLE in os.environ:
        return _complete()
    with warnings.catch_warnings():
        _show_our_warnings_as_messages()
        try:
            return _group.main(args, prog_name="deepobs", standalone_mode=False) or 0
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return error.exit_code
        except click.ClickException as error:
            _show_mistake(error)
            return error.exit_code
        except DeepOBSError as error:
            screen.show_message("Error", error)
            return _USAGE_ERROR
        except click.Abort:
            screen.show_message("Interrupted", "nothing more is done.")
            return _INTERRUPTED
        except Exception as error:
            owner = provenance_of(error)
            if not owner:
                raise
            click.echo("".join(traceback.format_exception(error)), err=True)
            screen.show_message("Error", f"It failed in code of {owner}: {message_of(error)}.")
            return _FOUND_WRONG


def _complete() -> int:
    """Answer a shell that asks for completions; whatever is wrong is for another command to say."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        # click exits once it has answered; a plugin whose command cannot be imported raises.
        with contextlib.suppress(Exception, SystemExit):
            _group.main([], prog_name=PROGRAM, complete_var=VARIABLE, standalone_mode=False)
    return 0


def _show_version(context: click.Context, parameter: click.Parameter, is_wanted: bool) -> None:
    del parameter
    if is_wanted and not context.resilient_parsing:
        try:
            torch = f"torch {version('torch')}"
        except PackageNotFoundError:
            torch = "no torch"
        screen.show(f"deepobs-core {__version__} (Python {platform.python_version()}, {torch})")
        context.exit()


@click.group(
    cls=PluginGroup,
    built_in=BUILT_IN,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the versions of DeepOBS, Python and torch.",
)
@click.pass_context
def _group(context: click.Context) -> None:
    """Benchmark optimizers for deep learning.

    Train a torch.optim.Optimizer, or one of your own, on realistic test problems:

    \b
      deepobs list problems                  what there is
      deepobs info quadratic_deep            what it is
      deepobs run quadratic_deep SGD         train on it
    """  # noqa: D301 # \b keeps click from joining the lines of the example
    _require_current_directory()
    show_help_without_command(context)


def _require_current_directory() -> None:
    """Refuse a current directory that was removed, in which importing torch ends the process."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise OutputError(
            "The current directory is no longer there. Change into another one."
        ) from error


def _show_mistake(error: click.ClickException) -> None:
    """Say what is wrong with the command that was typed."""
    message = error.format_message()
    if isinstance(error, click.UsageError) and error.ctx is not None:
        path = error.ctx.command_path
        click.echo(f"{error.ctx.get_usage()}\nTry '{path} --help' for help.\n", err=True)
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        message = sentences(f"No such option {name!r}.", closest(name, error.possibilities or ()))
    screen.show_message("Error", message)


def _show_our_warnings_as_messages() -> None:
    """Show them on one line each, without the place in our source; leave others as they are."""
    show_others = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, _OUR_WARNINGS):
            screen.show_message("Warning", clean(message))
        else:
            show_others(message, category, filename, lineno, file, line)

    for ours in _OUR_WARNINGS:
        warnings.simplefilter("always", ours)
    warnings.showwarning = show
