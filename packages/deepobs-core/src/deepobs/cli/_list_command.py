"""`deepobs list`: what is installed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from deepobs.cli._plugins_command import show_plugins
from deepobs.console import screen
from deepobs.console.offers import KINDS, Kind, ambiguous_names, by_usable_name, described
from deepobs.console.options import as_json, completing, require_known
from deepobs.console.screen import Column
from deepobs.plugins import registry

if TYPE_CHECKING:
    from deepobs.plugins.catalog import Offer

_PLUGINS = "plugins"
_TAGGED = "problems"
_NAMES = (*KINDS, _PLUGINS)


def _known_tags() -> list[str]:
    return sorted({tag for offer in registry().problems.offers() for tag in offer.spec.tags})


@click.command("list")
@click.argument("kind", required=False, shell_complete=completing(_NAMES))
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    shell_complete=completing(_known_tags),
    help="List only test problems with this tag. May be repeated.",
)
@as_json
@click.pass_context
def command(context: click.Context, kind: str | None, tags: tuple[str, ...], as_json: bool) -> None:
    """List what is installed: problems, optimizers, data sets and more.

    KIND is one of problems, datasets, optimizers, suites, runners, executors, plots, trackers,
    commands and plugins. Without it, everything is listed in brief.
    """
    if kind is not None:
        require_known(kind, _NAMES, "kind", context)
    if tags:
        if kind not in (None, _TAGGED):
            raise click.UsageError(f"Only test problems have tags, not {kind}.", context)
        kind = _TAGGED
        for tag in tags:
            require_known(tag, _known_tags(), "tag", context)
    # JSON has every kind, even those that nothing is offered of, so that programs need no checks.
    if as_json:
        screen.show_json(_for_json(kind, tags))
    elif kind is None:
        _show_everything()
    elif kind == _PLUGINS:
        show_plugins(registry().plugins)
    else:
        _show_kind(KINDS[kind], tags)


def _offers(kind: Kind, tags: tuple[str, ...] = ()) -> dict[str, Offer[Any]]:
    """The offers of a kind that have all the tags, by usable name."""
    return {
        name: offer
        for name, offer in by_usable_name(kind.catalog).items()
        if not tags or offer.spec.tags.issuperset(tags)
    }


def _for_json(kind: str | None, tags: tuple[str, ...]) -> object:
    if kind is None:
        return {name: _for_json(name, tags) for name in _NAMES}
    if kind == _PLUGINS:
        return [asdict(plugin) for plugin in registry().plugins]
    ambiguous = ambiguous_names(KINDS[kind].catalog)
    return [
        described(offer, is_ambiguous=offer.spec.name in ambiguous)
        for offer in _offers(KINDS[kind], tags).values()
    ]


def _show_everything() -> None:
    for kind in KINDS.values():
        offers = _offers(kind)
        if offers:
            screen.show(f"{kind.title} ({len(offers)})", is_heading=True)
            summaries = {name: offer.spec.summary for name, offer in offers.items()}
            screen.show_fields(summaries, indent="  ")
            _show_ambiguities(kind)
            screen.show()
    screen.show(f"Plugins ({len(registry().plugins)})", is_heading=True)
    states = {plugin.name: f"{plugin.version} {plugin.state}" for plugin in registry().plugins}
    screen.show_fields(states, indent="  ")


def _show_kind(kind: Kind, tags: tuple[str, ...]) -> None:
    offers = _offers(kind, tags)
    if not offers:
        having = f" with the tags {' and '.join(tags)}" if tags else ""
        screen.show(f"No installed plugin offers {kind.name}{having}.")
        return
    columns = [Column("NAME"), *(column for _, column in kind.columns), Column("SUMMARY")]
    rows = [
        [
            name,
            *(getattr(offer.spec, attribute) for attribute, _ in kind.columns),
            offer.spec.summary,
        ]
        for name, offer in offers.items()
    ]
    screen.show_table(columns, rows)
    _show_ambiguities(kind)


def _show_ambiguities(kind: Kind) -> None:
    for name in sorted(ambiguous_names(kind.catalog)):
        rivals = kind.catalog.called(name)
        owners = " and ".join(offer.origin for offer in rivals)
        screen.show()
        screen.show_text(
            f"{name} is offered by {owners}. Use a full name, such as {rivals[0].qualified_name}."
        )
