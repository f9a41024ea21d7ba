"""`deepobs plugins`: which plugins are installed, and why one could not be loaded."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from deepobs.console import screen
from deepobs.console.commands import as_json
from deepobs.console.screen import Column
from deepobs.errors import PluginWarning
from deepobs.plugins import registry
from deepobs.plugins.installed import import_name_conflict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepobs.plugins.registry import Plugin, Registry

_COLUMNS = [Column("NAME"), Column("VERSION"), Column("STATE"), Column("FILE OR ERROR")]


@click.command("plugins")
@as_json
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show the installed plugins, and why one could not be loaded.

    Warns of other installed packages that claim the import name deepobs. The exit code is 1 if
    a plugin could not be loaded.
    """
    found = discovered_quietly()
    if as_json:
        screen.show_json([asdict(plugin) for plugin in found.plugins])
    else:
        show(found.plugins)
    conflict = import_name_conflict()
    if conflict:
        screen.show_message("Warning", conflict)
    if found.failures():
        context.exit(1)


def discovered_quietly() -> Registry:
    """The registry, without warnings of plugins that failed: those are shown anyway.

    Raises:
        PluginError: A plugin failed and `DEEPOBS_STRICT_PLUGINS` is set.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        return registry()


def show(plugins: Iterable[Plugin]) -> None:
    """Write a table of plugins."""
    screen.show_table(
        _COLUMNS,
        [
            [plugin.name, plugin.version, plugin.state, plugin.error or plugin.file]
            for plugin in plugins
        ],
    )
