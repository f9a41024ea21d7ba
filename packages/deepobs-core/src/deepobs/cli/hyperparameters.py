"""What the options of `deepobs run` say about the optimizer."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


def parsed_hyperparameters(lr: float | None, options: Sequence[str]) -> dict[str, Any]:
    """Read hyperparameters.

    Args:
        lr: The learning rate, `None` where it was left out.
        options: Texts such as `momentum=0.9` or `betas=(0.8, 0.99)`.

    Raises:
        BadParameter: An option has another form.
        UsageError: A hyperparameter is given twice.
    """
    parsed: dict[str, Any] = {} if lr is None else {"lr": lr}
    for option in options:
        name, value = _parsed_option(option)
        if name in parsed:
            raise click.UsageError(
                f"The hyperparameter {name!r} is given twice, as {parsed[name]!r} and {value!r}: "
                "give it once."
            )
        parsed[name] = value
    return parsed


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


def _parsed_option(option: str) -> tuple[str, Any]:
    name, separator, text = option.partition("=")
    if not separator or not name.isidentifier():
        raise click.BadParameter(
            f"{option!r} is no NAME=VALUE, such as momentum=0.9.", param_hint="'-o'"
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
