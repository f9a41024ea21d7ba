"""`deepobs plugins`: the installed plugins, and why one could not be loaded."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from deepobs.console import screen
from deepobs.console.options import as_json
from deepobs.console.screen import Column
from deepobs.errors import PluginWarning
from deepobs.plugins import registry
from deepobs.plugins.installed import import_name_conflict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepobs.plugins import Plugin


@click.command("plugins")
@as_json
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the installed plugins, and the errors of those that could not be loaded.

    Warns about other installed packages that claim the import name deepobs. The exit code is 1 if
    a plugin could not be loaded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # the table shows what the warnings say
        found = registry()
    if as_json:
        screen.show_json([asdict(plugin) for plugin in found.plugins])
    else:
        show_plugins(found.plugins)
    # The old deepobs 1.1.2 shares our import name and overwrites files of this package.
    conflict = import_name_conflict()
    if conflict:
        screen.show_message("Warning", conflict)
    if found.failures():
        context.exit(1)


def show_plugins(plugins: Iterable[Plugin]) -> None:
    """Write a table of plugins to standard output."""
    screen.show_table(
        [Column("NAME"), Column("VERSION"), Column("STATE"), Column("FILE OR ERROR")],
        [[one.name, one.version, one.state, one.error or one.file] for one in plugins],
    )
