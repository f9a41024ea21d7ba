"""Building blocks of commands: shell completion, known names, `--json` and groups."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from deepobs.console.offers import KINDS, by_usable_name
from deepobs.console.text import clean
from deepobs.errors import closest, sentences

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[Any]]

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON for other programs.")


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
        names: The names, or a function that returns them and is called only to complete. A
            mapping holds an explanation for each name.
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


def completing_offers(*kinds: str) -> Complete:
    """Let the shell complete the names of what plugins offer.

    Args:
        kinds: Kinds of offers as `deepobs list` names them, such as "problems".
    """
    # Plugins are discovered when the shell asks, not when a command is imported for another reason.
    return completing(
        lambda: {
            name: offer.spec.summary
            for kind in kinds
            for name, offer in by_usable_name(KINDS[kind].catalog).items()
        }
    )


class Group(click.Group):
    """A group that answers an unknown command with similar names."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names.

        Raises:
            UsageError: There is no such command.
        """
        name = args[0]
        command = self.get_command(ctx, name)
        # While a shell asks for completions, an error would be printed over its prompt.
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
        """A further sentence for the message about an unknown command."""
        del name
        return ""


def show_help_without_command(context: click.Context) -> None:
    """Show the help of a group that was called without a command, which is no mistake."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def taking(
    name: str, parameters: Iterable[Callable[..., Any]], make: Callable[..., Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command with several arguments and options that reach it as one object.

    Args:
        name: The argument of the command's function that receives the object.
        parameters: Decorators such as `click.option(...)`, in the order of the help text.
        make: Creates the object from the values, which are its keyword arguments.
    """
    wanted = set(inspect.signature(make).parameters)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        makers = getattr(function, "makers", None)
        command = function
        # Several of these decorators share one wrapper, so that tracebacks show it once.
        if makers is None:
            makers = {}

            @functools.wraps(function)
            def command(*arguments: Any, **values: Any) -> Any:
                for name, (wanted, make) in makers.items():
                    values[name] = make(**{key: values.pop(key) for key in wanted})
                return function(*arguments, **values)

            vars(command)["makers"] = makers
        makers[name] = (wanted, make)
        # click shows parameters in the reverse order of their decorators' application.
        for parameter in reversed(tuple(parameters)):
            command = parameter(command)
        return command

    return decorate
