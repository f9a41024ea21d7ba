"""What the options of `deepobs run` say about the optimizer."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def parsed_hyperparameters(lr: float | None, options: Sequence[str]) -> dict[str, Any]:
    """Read hyperparameters.

    Args:
        lr: The learning rate, `None` where it was left out.
        options: Texts such as `momentum=0.9` or `betas=(0.8, 0.99)`.

    Raises:
        BadParameter: An option has another form.
        UsageError: A hyperparameter is given twice.
    """
    given = {} if lr is None else {"lr": lr}
    return parsed_options(given, options, "-o", "The hyperparameter")


def parsed_groups(options: Sequence[str]) -> dict[str, dict[str, Any]] | None:
    """Read hyperparameters of groups of parameters.

    Args:
        options: Texts such as `head:lr=0.1`, or `hidden` for a group without any.

    Returns:
        Hyperparameters by the role of the parameters, `None` where there are no groups.

    Raises:
        BadParameter: An option has another form.
        UsageError: A hyperparameter is given twice.
    """
    settings: dict[str, list[str]] = {}
    for option in options:
        role, separator, setting = option.partition(":")
        settings.setdefault(role, []).extend([setting] if separator else [])
    parsed = {
        role: parsed_options({}, of_role, "--group", f"In the group {role!r}, the hyperparameter")
        for role, of_role in settings.items()
    }
    return parsed or None


def parsed_scheduler(
    name: str | None, options: Sequence[str], every: str
) -> dict[str, object] | None:
    """Read the description of a scheduler.

    Args:
        name: Its class, `None` where there is none.
        options: Its arguments, texts such as `gamma=0.5`.
        every: When it goes on, "epoch" or "step".

    Raises:
        BadParameter: An option has another form.
        UsageError: An argument is given twice, or without a scheduler.
    """
    if name is None:
        if options or every != "epoch":
            given = ", ".join(options) or f"--lr-scheduler-every {every}"
            raise click.UsageError(f"{given} is for a scheduler: name it by --lr-scheduler NAME.")
        return None
    arguments = parsed_options({}, options, "--lr-scheduler-option", "The scheduler's argument")
    return {"name": name, "arguments": arguments, "every": every}


def parsed_schedule(entries: Sequence[str]) -> tuple[list[int] | None, list[float] | None]:
    """Read a schedule of the learning rate.

    Args:
        entries: Texts such as `60:0.2`.

    Returns:
        The epochs and the factors, `None` for both where there is no schedule.

    Raises:
        BadParameter: An entry has another form.
    """
    if not entries:
        return None, None
    pairs = [_parsed_entry(entry) for entry in entries]
    return [epoch for epoch, _ in pairs], [factor for _, factor in pairs]


def parsed_options(
    given: Mapping[str, Any], options: Sequence[str], hint: str, what: str
) -> dict[str, Any]:
    """Read options of something that is not known here.

    Args:
        given: Values that are there already.
        options: Texts such as `momentum=0.9`.
        hint: The option of the command that they were given by.
        what: What they are, for messages: "The hyperparameter".

    Raises:
        BadParameter: An option has another form.
        UsageError: One is given twice.
    """
    parsed = dict(given)
    for option in options:
        name, value = _parsed_option(option, hint)
        if name in parsed:
            raise click.UsageError(
                f"{what} {name!r} is given twice, as {parsed[name]!r} and {value!r}: give it once."
            )
        parsed[name] = value
    return parsed


def _parsed_option(option: str, hint: str) -> tuple[str, Any]:
    name, separator, text = option.partition("=")
    if not separator or not name.isidentifier():
        raise click.BadParameter(
            f"{option!r} is no NAME=VALUE, such as momentum=0.9.", param_hint=f"'{hint}'"
        )
    try:
        return name, ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return name, {"true": True, "false": False}.get(text.lower(), text)


def _parsed_entry(entry: str) -> tuple[int, float]:
    epoch, _, factor = entry.partition(":")
    try:
        return int(epoch), float(factor)
    except ValueError:
        raise click.BadParameter(
            f"{entry!r} is no EPOCH:FACTOR, such as 60:0.2.", param_hint="'--lr-schedule'"
        ) from None
