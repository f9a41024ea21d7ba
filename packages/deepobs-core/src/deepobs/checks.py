"""Checks of arguments, so that the same mistake gets the same answer everywhere."""

from __future__ import annotations

import inspect
import json
import math
import numbers
import re
import sys
from typing import TYPE_CHECKING, Any, TypeGuard

from deepobs.errors import ArgumentError, ProtocolError, without_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_NAME = 200
"""Bytes of the name of a directory of results; file systems take 255."""

_LONGEST_SHOWN = 60
_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


def is_number(value: object, least: float = -math.inf, most: float = math.inf) -> TypeGuard[float]:
    """Whether a value is a finite number in a range; booleans are not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    # Neither NaN nor what no float can hold, which integers may be.
    return least <= value <= most and abs(value) <= sys.float_info.max


def integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """Refuse anything but an integer in a range.

    Args:
        name: What the value is for.
        value: The value; NumPy's integers are accepted, booleans are not.
        least: The smallest permitted value.
        most: The largest permitted value, `None` for no limit.

    Raises:
        ArgumentError: It is not permitted.
    """
    permitted = f"{least} or more" if most is None else f"from {least} to {most}"
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    number: int | None = int(value) if is_integer else None  # type: ignore[call-overload]
    # What no float can hold would fail later, in the computations with it.
    if number is None or abs(number) > sys.float_info.max:
        raise ArgumentError(f"{name} must be an integer, {permitted}; got {value!r}.")
    if number < least or (most is not None and number > most):
        raise ArgumentError(f"{name} must be {permitted}, got {number}.")
    return number


def non_negative(name: str, value: object) -> float:
    """Refuse anything but a finite number of 0 or more.

    Raises:
        ArgumentError: It is not permitted.
    """
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_real or not 0 <= value <= sys.float_info.max:  # type: ignore[operator] # a number
        raise ArgumentError(f"{name} must be a finite number, 0 or more; got {value!r}.")
    # Adding 0.0 makes 0.0 of -0.0.
    return float(value) + 0.0  # type: ignore[arg-type] # a number


def fraction(name: str, value: object) -> float:
    """Refuse anything but a number above 0 and at most 1.

    Raises:
        ArgumentError: It is not permitted.
    """
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_real or not 0 < value <= 1:  # type: ignore[operator] # a number
        raise ArgumentError(f"{name} must be a number above 0 and at most 1; got {value!r}.")
    return float(value)  # type: ignore[arg-type] # a number


def number_and_unit(text: str) -> tuple[str, str]:
    """Split an interval such as `10min`, `5epochs` or `500steps`; `("0", "")` if it is none."""
    match = _INTERVAL.fullmatch(text.strip().lower())
    return (match[1], match[2]) if match else ("0", "")


def evaluation_interval(text: object) -> str:
    """Read how often a run is evaluated: `1epoch`, `5epochs` or `500steps`.

    Returns:
        The same, always written alike; empty if it is no number of epochs or steps.
    """
    number, unit = number_and_unit(text) if isinstance(text, str) else ("0", "")
    one = unit.removesuffix("s")
    if one not in ("epoch", "step") or not number.isdigit() or not int(number):
        return ""
    return f"{int(number)}{one}{'s' if int(number) > 1 else ''}"


def check_batch_size(batch_size: int, sizes: Mapping[str, int], dataset: str) -> None:
    """Refuse batches that are larger than a split.

    Args:
        batch_size: Examples per batch.
        sizes: Examples of each split by its name; empty splits do not count.
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
    """Refuse a name that is too long for a directory of results.

    Args:
        what: What it is the name of.
        name: The name.

    Raises:
        ArgumentError: It is too long.
    """
    length = len(name.encode(errors="replace"))
    if length > LONGEST_NAME:
        raise ArgumentError(
            f"{what} must have at most {LONGEST_NAME} bytes, since it names directories of "
            f"results; got {length}: {name[:40]}... Choose a shorter one."
        )


def check_call(component_class: Any, component: object, *arguments: Any, **options: Any) -> None:
    """Refuse a class whose constructor does not take what its protocol says.

    Args:
        component_class: The class.
        component: What messages call it: an offer, or a text such as "The test problem 'acme'".
        *arguments: Its positional arguments.
        **options: Its keyword arguments.

    Raises:
        ProtocolError: It is not a class, or does not take these arguments.
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
    except ValueError:  # a class written in C may have no signature
        return


def shown(value: object) -> str:
    """A value for a message, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def in_json_types(what: str, values: Mapping[str, object]) -> dict[str, Any]:
    """Convert values to those of a result file, so that both give the same run identity.

    Args:
        what: What they are, in the plural, for the message.
        values: Values by name.

    Raises:
        ArgumentError: JSON has no such value.
    """
    # The short cut that nearly all values take: sweeps convert those of thousands of runs. NumPy's
    # floats are of another type, and integers could be too large.
    is_plain = (
        not math.isnan(value) if type(value) is float else type(value) in (str, bool, type(None))
        for value in values.values()
    )
    if all(is_plain):
        # -0.0 is the same configuration as 0.0.
        return {
            n: 0.0 if value == 0 and type(value) is float else value for n, value in values.items()
        }
    try:
        text = json.dumps(values, default=_plain_number)
        converted: dict[str, Any] = json.loads(
            text,
            parse_int=_integer_within_floats,
            parse_float=lambda one: float(one) + 0.0,
            parse_constant=_infinity,
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"{what} must be finite numbers, infinity, texts, booleans or lists of them, got "
            f"{without_tensors(repr(values))}."
        ) from error
    return converted


def _infinity(text: str) -> float:
    if text == "NaN":
        raise ValueError("NaN equals nothing, not even itself")
    return float(text)


def _integer_within_floats(text: str) -> int:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is too large")
    return int(text)


def _plain_number(value: object) -> object:
    import numpy as np  # imported late, since `deepobs list` does without it

    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is not a value of JSON")
