"""Values as result files hold them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be kept in a result file")
