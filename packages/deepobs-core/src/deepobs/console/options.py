"""Building blocks of options: `--json`, known names, shell completion, and parsing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from deepobs.checks import number_and_unit
from deepobs.console.text import clean
from deepobs.errors import closest, joined, sentences
from deepobs.literals import read_literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[Any]]

_SECONDS_OF = {"s": 1, "min": 60, "h": 3600}

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
        every = f"Choose from {joined(names)}." if names else "None is installed."
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


def parsed_groups(options: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read the hyperparameters of parameter groups.

    Args:
        options: Texts such as `head:lr=0.1`, or `hidden` for a group with the defaults.

    Returns:
        Hyperparameters by the role of the parameters.

    Raises:
        BadParameter: A text is not ROLE:NAME=VALUE.
        UsageError: A hyperparameter is given twice.
    """
    texts: dict[str, list[str]] = {}
    for option in options:
        role, separator, assignment = option.partition(":")
        texts.setdefault(role, []).extend([assignment] if separator else [])
    return {
        role: parsed_options({}, of_role, "--group", f"In the group {role!r}, the hyperparameter")
        for role, of_role in texts.items()
    }


def parsed_options(
    given: Mapping[str, Any], options: Sequence[str], hint: str, what: str
) -> dict[str, Any]:
    """Read values that are given as NAME=VALUE.

    Args:
        given: Values that are known already.
        options: Texts such as `momentum=0.9`; VALUE is what `read_literal` reads.
        hint: The option that they were given by, for messages.
        what: What they are, for messages: "The hyperparameter".

    Raises:
        BadParameter: A text is not NAME=VALUE.
        UsageError: A name is given twice.
    """
    parsed = dict(given)
    for option in options:
        name, separator, text = option.partition("=")
        if not separator or not name.isidentifier():
            raise click.BadParameter(
                f"{option!r} is not NAME=VALUE, such as momentum=0.9.", param_hint=f"'{hint}'"
            )
        value = read_literal(text)
        if name in parsed:
            raise click.UsageError(
                f"{what} {name!r} is given twice, as {parsed[name]!r} and {value!r}. Give it once."
            )
        parsed[name] = value
    return parsed


def interval(text: str) -> dict[str, float]:
    """Read `10min`, `30s`, `1.5h`, `1epoch` or `5epochs`; a type of click.

    Returns:
        `every_seconds` or `every_epochs`.

    Raises:
        BadParameter: It is neither a duration nor a number of epochs.
    """
    number, unit = number_and_unit(text)
    if unit in _SECONDS_OF and float(number) > 0:
        return {"every_seconds": seconds(text)}
    if unit in ("epoch", "epochs") and number.isdigit() and int(number) > 0:
        return {"every_epochs": int(number)}
    raise click.BadParameter(
        f"{text!r} is neither a duration such as 30s, 10min or 1.5h, nor a number of epochs such "
        "as 5epochs."
    )


def seconds(text: str) -> float:
    """Read a duration such as `10min`; a type of click.

    Raises:
        BadParameter: It is none, or not positive.
    """
    number, unit = number_and_unit(text)
    if unit in _SECONDS_OF and float(number) > 0:
        return float(number) * _SECONDS_OF[unit]
    raise click.BadParameter(f"{text!r} is no duration, such as 30s, 10min or 1.5h.")
