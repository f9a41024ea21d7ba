"""Arguments that several commands take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from deepobs.cli.offers import KINDS, by_usable_name
from deepobs.cli.text import clean
from deepobs.errors import closest, sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON for other programs.")


def require_known(value: str, known: Iterable[str], what: str, context: click.Context) -> None:
    """Refuse a name that is not there.

    Args:
        value: What the user wrote.
        known: The names that exist.
        what: What they are names of, in the singular.
        context: The command that was called.

    Raises:
        UsageError: It is not one of the names; the message has those that are similar, and all.
    """
    names = list(known)
    if value not in names:
        every = f"There are: {', '.join(names)}." if names else "There are none."
        message = sentences(f"There is no {what} {value!r}.", closest(value, names), every)
        raise click.UsageError(message, context)


def completing(
    names: Callable[[], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Complete an argument in the shell.

    Args:
        names: Called when the names are needed; may map them to a line of explanation.
    """

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> Any:
        known = names()
        explanations = known if isinstance(known, Mapping) else dict.fromkeys(known, "")
        return [
            CompletionItem(name, help=clean(explanation) or None)
            for name, explanation in explanations.items()
            if name.startswith(incomplete)
        ]

    return complete


def completing_words(
    *words: str,
) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Complete an argument with some words; whether it is one of them is checked elsewhere.

    Args:
        *words: What may be typed.
    """
    return completing(lambda: words)


def completing_offers(*kinds: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Complete an argument with the names of what plugins offer.

    Args:
        kinds: What is offered, as `deepobs list` calls it: "problems".
    """
    return completing(
        lambda: {
            name: offer.spec.summary
            for kind in kinds
            for name, offer in by_usable_name(KINDS[kind].catalog).items()
        }
    )
