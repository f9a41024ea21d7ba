"""Building blocks of commands: shell completion, known names and `--json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from deepobs.console.text import clean
from deepobs.errors import closest, sentences

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[Any]]

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON instead of text.")


def require_known(value: str, known: Iterable[str], what: str, context: click.Context) -> None:
    """Refuse an unknown name.

    Args:
        value: The name that was given.
        known: The names that exist.
        what: What they name, in the singular.
        context: The command that was called.

    Raises:
        UsageError: The name is unknown; the message lists similar names and all names.
    """
    names = list(known)
    if value not in names:
        every = f"Choose from {', '.join(names)}." if names else "None is installed."
        message = sentences(f"There is no {what} {value!r}.", closest(value, names), every)
        raise click.UsageError(message, context)


def completing(names: Iterable[str] | Callable[[], Iterable[str]]) -> Complete:
    """Let the shell complete an argument or option; its value is not checked.

    Args:
        names: The names, or a function that returns them and is called only to complete: plugins
            are not discovered when a command is imported for another reason. A mapping holds an
            explanation for each name.
    """

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> Any:
        known = names() if callable(names) else names
        explanations = known if isinstance(known, Mapping) else dict.fromkeys(known, "")
        return [
            CompletionItem(name, help=clean(explanation) or None)
            for name, explanation in explanations.items()
            if name.startswith(incomplete)
        ]

    return complete
