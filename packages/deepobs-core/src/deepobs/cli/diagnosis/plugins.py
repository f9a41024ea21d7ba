"""The installed plugins, and what they offer under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.cli.diagnosis.findings import Fact, Trouble, plugins_load
from deepobs.cli.plugins import discovered_quietly
from deepobs.console.offers import KINDS, ambiguous_names
from deepobs.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.plugins import Plugin


def plugins() -> Iterator[Fact | Trouble]:
    """Which plugins there are, and why one could not be loaded."""
    try:
        found = discovered_quietly().plugins
    except PluginError as error:
        yield Trouble(
            str(error),
            "Mend or remove the plugin, or unset DEEPOBS_STRICT_PLUGINS to go on without it.",
        )
        return
    for plugin in found:
        value = {"version": plugin.version, "state": plugin.state, "error": plugin.error}
        yield Fact(plugin.name, value, f"{plugin.version} {plugin.state}")
        if plugin.error:
            yield Trouble(
                f"The plugin {plugin} {_went_wrong(plugin.state)}: {plugin.error}.",
                _remedy(plugin),
            )


def names_offered_twice() -> Iterator[Trouble]:
    """Names that mean several things."""
    if not plugins_load():
        return
    for kind in KINDS.values():
        for name in sorted(ambiguous_names(kind.catalog)):
            rivals = kind.catalog.called(name)
            owners = " and ".join(offer.origin for offer in rivals)
            choices = " or ".join(offer.qualified_name for offer in rivals)
            yield Trouble(
                f"The {kind.catalog.kind} {name} is offered by {owners}.",
                f"Use a full name, {choices}, or remove one of the packages.",
            )


def _remedy(plugin: Plugin) -> str:
    name = plugin.distribution
    if plugin.name == name:  # no entry point: only DEEPOBS_PLUGINS speaks of it
        return f"Install it (pip install {name}), or leave it out of DEEPOBS_PLUGINS."
    return (
        f"Upgrade it (pip install --upgrade {name}), remove it (pip uninstall {name}), or tell "
        "its authors."
    )


def _went_wrong(state: str) -> str:
    return "is disabled for this process" if state == "disabled" else "could not be loaded"
