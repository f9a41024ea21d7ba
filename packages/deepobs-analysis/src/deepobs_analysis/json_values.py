"""Values of untrusted JSON: of the needed type, or refused with a reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic_core import from_json

from deepobs.errors import DeepOBSError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs_analysis.measures.arrays import Floats

LARGEST = 2**63 - 1
"""A column of integers holds no larger one."""

# Real hyperparameters are lists of two levels at most.
_MOST_LEVELS = 8
_NUMBERS = {float, int, type(None)}


class NoResultError(DeepOBSError):
    """A file is not the result of a run; the message says why, after "it"."""


def parsed(content: bytes) -> Any:
    """The content of a file.

    Raises:
        NoResultError: It is not JSON, or holds text that is no Unicode.
    """
    # Five times as fast as the standard library, which reads more: deeper nesting, other encodings.
    try:
        return from_json(content)
    except ValueError:
        pass
    if not content.strip():
        raise NoResultError("it is broken: it is empty")
    try:
        data = json.loads(content)
        # JSON may escape half of a surrogate pair, on which matplotlib and terminals crash later.
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NoResultError("it is broken: it holds half of a surrogate pair") from None
    except (ValueError, RecursionError) as error:
        raise NoResultError(f"it is broken: it is not JSON ({error})") from None
    return data


def text(data: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A text, which must not be empty unless there is a default for a missing one."""
    value = data.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or (default is None and not value):
        raise NoResultError(f"{key} is not text: {_shown(value)}")
    return value


def integer(data: Mapping[str, Any], key: str, *, least: int = 0) -> int:
    """An integer; 128.0 is one, too."""
    value: Any = data.get(key)
    # The range is checked first: int() of NaN or infinity raises.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not least <= value <= LARGEST or value != int(value):
        raise NoResultError(f"{key} is not an integer of {least} or more: {_shown(value)}")
    return int(value)


def optional_integer(data: Mapping[str, Any], key: str) -> int | None:
    """An integer of 0 or more, `None` if missing."""
    return None if data.get(key) is None else integer(data, key)


def number(data: Mapping[str, Any], key: str) -> float:
    """A number, NaN if missing."""
    value = data.get(key)
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NoResultError(f"{key} is not a number: {_shown(value)}")
    return _as_float(key, value)


def mapping(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A dictionary of plain values, lists and dictionaries; an empty one if missing."""
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NoResultError(f"{key} is not a dictionary: {_shown(value)}")
    check_plain(key, value)
    return value


def numbers(data: Mapping[str, Any], key: str) -> Floats | None:
    """A list of numbers, with NaN for `null`; `None` if missing."""
    value = data.get(key)
    return None if value is None else _array(key, value)


def points(data: Mapping[str, Any], key: str) -> Floats | None:
    """A list of pairs of numbers, one pair after the other; `None` if missing."""
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not value or any(not _is_pair(each) for each in value):
        raise NoResultError(f"{key} is not a list of points")
    return _array(key, [number for each in value for number in each])


def check_plain(key: str, value: object, levels: int = _MOST_LEVELS) -> None:
    """Refuse what is nested too deeply, and integers that no float holds."""
    if isinstance(value, (dict, list)):
        # A bomb of brackets would exhaust the stack of code that traverses it later.
        if levels == 0:
            raise NoResultError(f"{key} is nested too deeply")
        for item in value.values() if isinstance(value, dict) else value:
            # Of most values, the check takes less time than a call would.
            if isinstance(item, (dict, list)):
                check_plain(key, item, levels - 1)
            elif isinstance(item, int) and not -LARGEST <= item <= LARGEST:
                _as_float(key, item)
    elif isinstance(value, int):
        _as_float(key, value)


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2


def _array(key: str, value: object) -> Floats:
    # NumPy would read text and booleans as numbers. Types of a set are checked, as a loop over all
    # values takes longer than parsing the JSON.
    if not isinstance(value, list) or not set(map(type, value)) <= _NUMBERS:
        raise NoResultError(f"{key} is not a list of numbers")
    try:
        return np.array(value, dtype=np.float64)
    except OverflowError:
        raise NoResultError(f"{key} holds a number that is too large") from None


def _as_float(key: str, value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise NoResultError(f"{key} holds a number that is too large") from None


def _shown(value: object) -> str:
    shown = repr(value) if not isinstance(value, (dict, list)) else f"a {type(value).__name__}"
    return shown if len(shown) <= 40 else f"{shown[:40]}..."
