"""`deepobs info`: all that is known about one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import click

from deepobs.cli.facts import facts_about
from deepobs.console import screen
from deepobs.console.commands import as_json, completing_offers
from deepobs.console.offers import KINDS, by_usable_name
from deepobs.console.screen import Column
from deepobs.console.text import clean
from deepobs.errors import UnknownNameError, closest, sentences
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Iterable

_TITLES = {"dataset": "Data set", "metric": "Compared by", "target": "Implementation"}
_SHOWN_APART = {
    *("name", "kind", "summary", "distribution", "version", "qualified_name", "is_ambiguous"),
    "hyperparameters",
}
_SHOWN_IF_KNOWN = {"target_performance"}


def _names() -> set[str]:
    return {name for kind in KINDS.values() for name in by_usable_name(kind.catalog)}


@click.command("info")
@click.argument("name", shell_complete=completing_offers(*KINDS))
@as_json
@click.pass_context
def command(context: click.Context, name: str, as_json: bool) -> None:
    """Show all about one problem, optimizer, data set or suite.

    NAME is as in `deepobs list`. Where two plugins offer the same name, both are shown;
    distribution:name means one of them.
    """
    found = [
        facts_about(kind, offer) for kind in KINDS.values() for offer in kind.catalog.called(name)
    ]
    if not found:
        nothing = f"Nothing installed is called {name!r}."
        hint = registry().hint(name.rpartition(":")[2])
        raise UnknownNameError(sentences(nothing, closest(name, _names()), hint))
    if as_json:
        screen.show_json(found)
    else:
        for number, facts in enumerate(found):
            if number:
                screen.show()
            _show(facts)
    if any("error" in facts for facts in found):
        context.exit(1)


def _show(facts: Mapping[str, Any]) -> None:
    screen.show_heading(clean(f"{facts['name']} ({facts['kind']})"))
    screen.show_text(facts["summary"])
    screen.show()
    origin = {"From": f"{facts['distribution']} {facts['version']}"}
    if facts["is_ambiguous"]:
        origin["Full name"] = f"{facts['qualified_name']} (other plugins use the short one, too)"
    spoken = {
        name: _in_words(value)
        for name, value in facts.items()
        if name not in _SHOWN_APART and not (value is None and name in _SHOWN_IF_KNOWN)
    }
    screen.show_fields(origin | {_title(name): text for name, text in spoken.items() if text})
    if "hyperparameters" in facts:
        screen.show()
        _show_hyperparameters(facts["hyperparameters"])


def _show_hyperparameters(rows: Iterable[Mapping[str, object]]) -> None:
    screen.show_table(
        [Column("HYPERPARAMETER"), Column("DEFAULT")],
        [
            [row["name"], "none: must be given" if row["is_required"] else repr(row["default"])]
            for row in rows
        ],
    )


def _title(name: str) -> str:
    return _TITLES.get(name) or name.replace("_", " ").capitalize()


def _in_words(value: object) -> str:
    """A value as people write it, empty where there is nothing to say."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {item}" for key, item in value.items())
    if isinstance(value, Set):
        return ", ".join(sorted(map(str, value)))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)
