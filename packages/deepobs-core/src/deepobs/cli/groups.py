"""Groups of commands: the top level, which imports a command when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from deepobs.cli.offers import by_usable_name
from deepobs.cli.text import clean
from deepobs.errors import ComponentLoadError, UnknownNameError, closest, sentences
from deepobs.plugins import CommandSpec, registry
from deepobs.plugins.catalog import import_target

if TYPE_CHECKING:
    from collections.abc import Sequence


class Group(click.Group):
    """A group that answers an unknown command with the names that are similar."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names.

        Raises:
            UsageError: There is no such command.
        """
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            ctx.fail(
                sentences(
                    f"No such command {name!r}.",
                    closest(name, self.list_commands(ctx)),
                    self.hint_for_unknown(name),
                )
            )
        return name, command, args[1:]

    def hint_for_unknown(self, name: str) -> str:
        """What else to tell somebody whose command is not there."""
        del name
        return ""


class PluginGroup(Group):
    """The built-in commands and those of the plugins, imported when they are called.

    Args:
        name: What it is called.
        built_in: The commands that no plugin can replace.
        **settings: See `click.Group`.
    """

    def __init__(
        self, name: str | None = None, built_in: Sequence[CommandSpec] = (), **settings: object
    ) -> None:
        super().__init__(name, **settings)  # type: ignore[arg-type]
        self._built_in = {spec.name: spec for spec in built_in}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, without importing any."""
        del ctx
        return [*self._built_in, *self._from_plugins()]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command.

        Raises:
            AmbiguousNameError: More than one plugin offers it.
            ComponentLoadError: It cannot be imported.
        """
        del ctx
        if name in self._built_in:
            command = import_target(self._built_in[name].target, f"The command {name!r}")
            assert isinstance(command, click.Command)  # noqa: S101 # it is ours
            return command
        try:
            command = registry().commands.load(name)
        except UnknownNameError:
            return None
        if not isinstance(command, click.Command):
            described = registry().commands.described(name)
            raise ComponentLoadError(f"{described} is {command!r}. It must be a click.Command.")
        return command

    def invoke(self, ctx: click.Context) -> None:
        """Carry out a command; what its function returns is no exit code."""
        super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of commands of the help text."""
        del ctx
        for title, specs in (
            ("Commands", self._built_in),
            ("Commands of plugins", self._from_plugins()),
        ):
            rows = [(clean(name), clean(spec.summary)) for name, spec in specs.items()]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, without importing any."""
        commands = [
            CompletionItem(name, help=clean(spec.summary))
            for name, spec in (self._built_in | self._from_plugins()).items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def hint_for_unknown(self, name: str) -> str:
        """Name the package or the plugins that may have brought the command."""
        return registry().hint_about_command(name)

    def _from_plugins(self) -> dict[str, CommandSpec]:
        """The commands of plugins; one named like a built-in command has its full name."""
        return {
            offer.qualified_name if name in self._built_in else name: offer.spec
            for name, offer in by_usable_name(registry().commands).items()
        }


def show_help_without_command(context: click.Context) -> None:
    """Answer the bare name of a group with its help, which is no mistake."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
