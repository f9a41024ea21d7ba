"""The hyperparameters that a runner's caller declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepobs.errors import ArgumentError, closest, sentences

REQUIRED: Any = object()
"""Stands for the default of a hyperparameter that has none."""


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A hyperparameter of an optimizer.

    Attributes:
        name: Its name in the optimizer's constructor.
        type: What turns a text of the command line into a value.
        default: Its value where none is given, `REQUIRED` where one must be.
    """

    name: str
    type: Any = float
    default: Any = REQUIRED


def declared(hyperparams: object, *, takes_lr: bool = True) -> dict[str, Hyperparameter]:
    """Read the two forms in which hyperparameters are declared.

    Args:
        hyperparams: `[{"name": "momentum", "type": float, "default": 0.9}]` or
            `{"momentum": {"type": float, "default": 0.9}}`. The learning rate `lr` may be left
            out: then it must be given to every run.
        takes_lr: Whether the optimizer has a learning rate `lr` at all.

    Raises:
        ArgumentError: It is neither.
    """
    if isinstance(hyperparams, Mapping):
        rows = [_named_row(name, row) for name, row in hyperparams.items()]
    elif isinstance(hyperparams, Sequence) and not isinstance(hyperparams, str):
        rows = [_checked_row(row) for row in hyperparams]
    else:
        raise ArgumentError(f"hyperparams must be a list or a mapping, got {hyperparams!r}.")
    found = {}
    for row in rows:
        unknown = set(row) - {"name", "type", "default"}
        if unknown:
            raise ArgumentError(
                f"The hyperparameter {row['name']!r} is declared with {sorted(unknown)}. "
                "Only name, type and default are known."
            )
        found[row["name"]] = Hyperparameter(**row)
    if takes_lr and "lr" not in found:
        found["lr"] = Hyperparameter("lr")
    return found


def completed(
    hyperparameters: Mapping[str, Hyperparameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Fill in the defaults of what is not given.

    Args:
        hyperparameters: What was declared, by name.
        given: Values by name.

    Raises:
        ArgumentError: A name was not declared, or a required value is missing.
    """
    for name in given:
        if name not in hyperparameters:
            raise ArgumentError(
                sentences(
                    f"No hyperparameter {name!r} was declared for this runner.",
                    closest(name, hyperparameters),
                    f"Declared: {', '.join(hyperparameters)}.",
                )
            )
    values = {name: given.get(name, one.default) for name, one in hyperparameters.items()}
    missing = [name for name, value in values.items() if value is REQUIRED]
    if missing:
        raise ArgumentError(f"The hyperparameter {missing[0]!r} has no default: give a value.")
    return values


def _named_row(name: object, row: object) -> dict[str, Any]:
    if not isinstance(row, Mapping) or not isinstance(name, str):
        raise ArgumentError(
            "A hyperparameter in a mapping is declared as "
            f'{{"momentum": {{"type": float, "default": 0.9}}}}, got {{{name!r}: {row!r}}}.'
        )
    return {"name": name, **row}


def _checked_row(row: object) -> dict[str, Any]:
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
        raise ArgumentError(
            "A hyperparameter in a list is declared as "
            f'{{"name": "momentum", "type": float, "default": 0.9}}, got {row!r}.'
        )
    return dict(row)
