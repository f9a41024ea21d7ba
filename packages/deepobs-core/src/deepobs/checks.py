"""Checks of arguments, so that the same mistake gets the same answer everywhere."""

from __future__ import annotations

import inspect
import json
import math
import numbers
import sys
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_NAME = 200
"""Bytes of the name of a directory of results; file systems take 255."""

_LONGEST_SHOWN = 60


def integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """Refuse what is not an integer in a range.

    Args:
        name: What the value is for.
        value: The value; NumPy's integers are taken, booleans are not.
        least: The smallest permitted value.
        most: The largest permitted value, `None` for no limit.

    Raises:
        ArgumentError: It is not permitted.
    """
    permitted = f"{least} or more" if most is None else f"from {least} to {most}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ArgumentError(f"{name} must be an integer, {permitted}; got {value!r}.")
    number = int(value)
    if number < least or (most is not None and number > most):
        raise ArgumentError(f"{name} must be {permitted}, got {number}.")
    return number


def non_negative(name: str, value: object) -> float:
    """Refuse what is not a finite number of 0 or more.

    Raises:
        ArgumentError: It is not permitted.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentError(f"{name} must be a number, 0 or more; got {value!r}.")
    if value < 0 or not value <= sys.float_info.max:  # nor NaN, nor what no float can hold
        raise ArgumentError(f"{name} must be a finite number, 0 or more; got {value}.")
    return float(value)


def check_batch_size(batch_size: int, sizes: Mapping[str, int], dataset: str) -> None:
    """Refuse batches that are larger than a split.

    Args:
        batch_size: Examples a batch.
        sizes: Examples of each split, by its name; a split of none is no split.
        dataset: Name of the data set.

    Raises:
        ArgumentError: A split has fewer examples.
    """
    found = {name: size for name, size in sizes.items() if size}
    smallest = min(found, key=lambda name: found[name])
    if batch_size > found[smallest]:
        held_out = f" ({found['valid']} examples are held out)" if "valid" in found else ""
        raise ArgumentError(
            f"batch_size must be from 1 to {found[smallest]}, the size of the {smallest} split of "
            f"{dataset}{held_out}; got {batch_size}."
        )


def check_length(what: str, name: str) -> None:
    """Refuse a name that no directory of results can have.

    Args:
        what: What it is the name of.
        name: The name.

    Raises:
        ArgumentError: It is too long for the file systems there are.
    """
    length = len(name.encode(errors="replace"))
    if length > LONGEST_NAME:
        raise ArgumentError(
            f"{what} must have at most {LONGEST_NAME} bytes, as directories of results are called "
            f"so; got {length}: {name[:40]}... Choose a shorter one."
        )


def check_call(component_class: Any, component: str, *arguments: Any, **options: Any) -> None:
    """Refuse a class that cannot be called as its protocol says, before it is.

    Args:
        component_class: The class.
        component: What messages call it: "The test problem 'acme' of acme-obs 1.0".
        *arguments: What it will be given.
        **options: What it will be given by name.

    Raises:
        ProtocolError: It is no class, or does not take these arguments.
    """
    if not callable(component_class):
        raise ProtocolError(f"{component} is {shown(component_class)}. It must be a class.")
    try:
        inspect.signature(component_class).bind(*arguments, **options)
    except TypeError as error:
        written = ", ".join(["..."] * len(arguments) + [f"{name}=..." for name in options])
        raise ProtocolError(
            f"{component} cannot be called as {component_class.__name__}({written}): {error}. "
            "Its constructor must take these arguments."
        ) from error
    except ValueError:  # it does not tell its arguments
        return


def shown(value: object) -> str:
    """A value as messages show it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def in_json_types(what: str, values: Mapping[str, object]) -> dict[str, Any]:
    """Turn values into those that a result file will hold, so that both give the same identity.

    Args:
        what: What they are, in the plural, for the message.
        values: Values by name.

    Raises:
        ArgumentError: A value cannot be kept in a result file.
    """
    if all(map(_is_plain, values.values())):  # as nearly all are, of thousands of settings
        return dict(values)
    try:
        text = json.dumps(values, allow_nan=False, default=_plain_number)
        converted: dict[str, Any] = json.loads(text, parse_int=_integer_within_floats)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{what} must be finite numbers, texts, booleans or lists of them, got {values!r}."
        ) from error
    return converted


def _is_plain(value: object) -> bool:
    """Whether JSON gives the value back as it is; integers could be too large."""
    if type(value) is float:  # NumPy's own is another type
        return math.isfinite(value)
    return type(value) in (str, bool, type(None))


def _integer_within_floats(text: str) -> int:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is too large")
    return int(text)


def _plain_number(value: object) -> object:
    import numpy as np  # not before it is needed: `deepobs list` starts without it

    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be kept in a result file")
