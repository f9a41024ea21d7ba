"""The command line `deepobs`: its commands, and how their errors are reported."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import platform
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import importlib_metadata as metadata
from click.shell_completion import CompletionItem

from deepobs import __version__
from deepobs.cli._completion_command import PROGRAM, VARIABLE
from deepobs.console import screen
from deepobs.console.offers import by_usable_name
from deepobs.console.text import clean
from deepobs.errors import (
    ArgumentError,
    CheckpointWarning,
    ComponentLoadError,
    DeepOBSError,
    OutputError,
    PluginWarning,
    TrackerWarning,
    UnknownNameError,
    closest,
    message_of,
    sentences,
)
from deepobs.plugins import CommandSpec, registry
from deepobs.plugins.catalog import import_target
from deepobs.plugins.installed import OUR_DISTRIBUTIONS
from deepobs.plugins.provenance import provenance_of
from deepobs.resources import torchrun_rank

if TYPE_CHECKING:
    from collections.abc import Callable

_FOUND_WRONG = 1
_USAGE_ERROR = 2
_INTERRUPTED = 130
_OF_SEVERAL_PROCESSES = ("run",)
_OUR_WARNINGS = (CheckpointWarning, PluginWarning, TrackerWarning)

BUILT_IN = {
    name: CommandSpec(name=name, target=f"deepobs.cli._{name}_command:command", summary=summary)
    for name, summary in (
        ("list", "List what is installed: problems, optimizers, data sets and more"),
        ("info", "Show details of a problem, optimizer, data set or suite"),
        ("run", "Train an optimizer on a test problem"),
        ("estimate", "Measure how long a run will take and how much memory it needs"),
        ("data", "Check, download and verify data sets"),
        ("plugins", "List the installed plugins, and errors of those that failed to load"),
        ("doctor", "Check the installation and suggest fixes"),
        ("completion", "Print a script that enables shell completion"),
    )
}
# Help lists commands in the order in which an experiment needs them, whatever package has them.
_BY_USE = (
    *("list", "info", "run", "estimate", "bench", "tune"),
    *("table", "plot", "report", "score", "compare", "baselines"),
    *("data", "check", "new-plugin", "plugins", "doctor", "completion"),
)


def main(args: list[str] | None = None) -> int:
    """Execute one command.

    Args:
        args: Arguments after `deepobs`; `None` for those of this process.

    Returns:
        The exit code: 0; 1 if a command reports a failure; 2 for a mistake in the command or an
        error of DeepOBS; 130 after a keyboard interrupt.
    """
    # Before any warning or error can be written: the shell would take it for completions.
    if VARIABLE in os.environ:
        return _complete()
    if torchrun_rank():
        # What all processes of a run say, the first one says for them.
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            return _invoke(args)
    return _invoke(args)


def _invoke(args: list[str] | None) -> int:
    """Execute one command, and report what ends it."""
    with warnings.catch_warnings():
        # Even if PYTHONWARNINGS ignores warnings: a skipped plugin must not go unnoticed.
        for ours in () if torchrun_rank() else _OUR_WARNINGS:
            warnings.simplefilter("always", ours)
        warnings.showwarning = functools.partial(_show_warning, warnings.showwarning)
        try:
            return _group.main(args, prog_name=PROGRAM, standalone_mode=False) or 0
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return error.exit_code
        except click.ClickException as error:
            if _reports_errors():
                _show_mistake(error)
            return error.exit_code
        except DeepOBSError as error:
            if _reports_errors():
                screen.show_message("Error", error)
            return _USAGE_ERROR
        except _InterruptedError as error:
            screen.start_line()
            _show_interruption(*error.args)
            return _INTERRUPTED
        except click.Abort:
            _show_interruption()
            return _INTERRUPTED
        except Exception as error:
            owner = provenance_of(error)
            # An error in our own code keeps its traceback as Python prints it: it is a bug.
            if not owner:
                raise
            if not _reports_errors():
                return _FOUND_WRONG
            click.echo("".join(traceback.format_exception(error)), err=True)
            screen.show_message("Error", f"It failed in code of {owner}: {message_of(error)}.")
            return _FOUND_WRONG


def _reports_errors() -> bool:
    """Whether this process reports its errors, rather than another one of the same run."""
    if torchrun_rank() is None:
        return True
    from deepobs.runs.ranks import first_to_report

    return first_to_report()


def _show_interruption(*further: object) -> None:
    if torchrun_rank():
        return
    screen.show_message("Interrupted", "stopped by the keyboard.")
    for sentence in further:
        screen.show(clean(sentence), stream=sys.stderr)


class _InterruptedError(Exception):
    """A keyboard interrupt, with what the command says about it."""


class _Commands(click.Group):
    """The built-in commands and those of plugins, imported only when they are called."""

    def invoke(self, ctx: click.Context) -> object:
        """Call a command; arguments of its `KeyboardInterrupt` are shown after the message."""
        # Before click sees it, which would write an empty line between a progress bar and the rest.
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _InterruptedError(*error.args) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        del ctx
        return [*BUILT_IN, *_from_plugins()]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command.

        Raises:
            AmbiguousNameError: More than one plugin offers it.
            ComponentLoadError: It cannot be imported.
        """
        del ctx
        if torchrun_rank() is not None and name not in _OF_SEVERAL_PROCESSES:
            raise ArgumentError(
                f"torchrun starts the processes of one run: deepobs {name} must be started without "
                "it. Sweeps start such processes themselves with --processes-per-run."
            )
        # Built-in commands come first: no plugin can replace `run` and what its results mean.
        if name in BUILT_IN:
            command = import_target(BUILT_IN[name].target, f"The command {name!r}")
            assert isinstance(command, click.Command)  # noqa: S101 # it is ours
            return command
        # Only this command is imported: others that are broken or slow to import do no harm.
        try:
            command = registry().commands.load(name)
        except UnknownNameError:
            return None
        if not isinstance(command, click.Command):
            offer = registry().commands.offer(name)
            raise ComponentLoadError(f"{offer} is {command!r}. It must be a click.Command.")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of our packages by use, then those of other packages."""
        del ctx
        ours, others = dict(BUILT_IN), dict[str, CommandSpec]()
        for name, spec in _from_plugins().items():
            owner = registry().commands.called(name)[0].distribution
            (ours if owner in OUR_DISTRIBUTIONS else others)[name] = spec
        by_use = {name: ours.pop(name) for name in _BY_USE if name in ours}
        for title, specs in (
            ("Commands", by_use | ours),
            ("Commands of other packages", others),
        ):
            if specs:
                with formatter.section(title):
                    formatter.write_dl(
                        [(clean(name), clean(spec.summary)) for name, spec in specs.items()]
                    )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, without importing any."""
        commands = [
            CompletionItem(name, help=clean(spec.summary))
            for name, spec in (BUILT_IN | _from_plugins()).items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]


def _from_plugins() -> dict[str, CommandSpec]:
    """The commands of plugins; one with the name of a built-in command has its full name."""
    return {
        offer.qualified_name if name in BUILT_IN else name: offer.spec
        for name, offer in by_usable_name(registry().commands).items()
    }


def _complete() -> int:
    """Answer a shell that asks for completions; errors are left to other commands to report."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        # click exits once it has answered; a plugin whose command cannot be imported raises.
        with contextlib.suppress(Exception, SystemExit):
            _group.main([], prog_name=PROGRAM, complete_var=VARIABLE, standalone_mode=False)
    return 0


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, help="Show the versions of DeepOBS, Python and torch.")
@click.pass_context
def _group(context: click.Context, version: bool) -> None:
    """Benchmark optimizers for deep learning.

    Train an optimizer of PyTorch, or one of your own, on realistic test problems:

    \b
      deepobs list problems                  list the test problems
      deepobs info quadratic_deep            show details of one
      deepobs run quadratic_deep SGD         train on it
    """  # noqa: D301 # \b keeps click from joining the lines of the example
    if version:
        _show_version()
        context.exit()
    try:
        Path.cwd()
    except FileNotFoundError as error:
        # Importing torch in a directory that was removed would end the process without a message.
        raise OutputError(
            "The current directory no longer exists. Change to another directory."
        ) from error
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _show_version() -> None:
    try:
        # From the metadata: importing torch would take seconds.
        torch = f"torch {metadata.version('torch')}"
    except metadata.PackageNotFoundError:
        torch = "no torch"
    screen.show(f"deepobs-core {__version__} (Python {platform.python_version()}, {torch})")


@_group.result_callback()
def _no_exit_code(*_results: object, **_options: object) -> None:
    """Drop what the function of a command returns, which would become the exit code."""


def _show_mistake(error: click.ClickException) -> None:
    """Report a mistake in the command that was typed."""
    message = error.format_message()
    if isinstance(error, click.UsageError) and error.ctx is not None:
        path = error.ctx.command_path
        click.echo(f"{error.ctx.get_usage()}\nTry '{path} --help' for help.\n", err=True)
    # click's own suggestions are compared differently from all others here.
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        message = sentences(f"No such option {name!r}.", closest(name, error.possibilities or ()))
    elif isinstance(error, click.NoSuchCommand) and error.ctx is not None:
        name, group = error.command_name, error.ctx.command
        names = group.list_commands(error.ctx) if isinstance(group, click.Group) else []
        hint = registry().hint_about_command(name) if group is _group else ""
        message = sentences(f"No such command {name!r}.", closest(name, names), hint)
    screen.show_message("Error", message)


def _show_warning(
    show_other: Callable[..., None],
    message: Warning | str,
    category: type[Warning],
    *where: Any,
    **further: Any,
) -> None:
    """Show a warning of ours on one line, without a source location; leave others as they are."""
    if issubclass(category, _OUR_WARNINGS):
        screen.show_message("Warning", clean(message))
    else:
        show_other(message, category, *where, **further)
