"""The values that experiment files may hold, each with the words for what is permitted."""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from deepobs.errors import DeepOBSError, closest
from deepobs.plugins import registry
from deepobs_bench.mistakes import written

if TYPE_CHECKING:
    from collections.abc import Callable

_RANGE = re.compile(r"(\d+)\.\.(\d+)\Z")
LARGEST_SEED = 2**32 - 1
"""NumPy takes no larger one."""

_MOST_SEEDS = 100_000

MOST_POINTS = 1_000_000
"""Most settings that are tried of an optimizer on a problem."""


def refused(message: str) -> PydanticCustomError:
    """An error for a validator to raise, whose message is shown as it is."""
    return PydanticCustomError("refused", "{message}", {"message": message})


def must_be(permitted: str, value: object) -> PydanticCustomError:
    """An error that says what a value must be, and what it is."""
    return refused(f"must be {permitted}, got {written(value)}")


def _permitted(words: str, is_permitted: Callable[[Any], bool]) -> BeforeValidator:
    def check(value: object) -> object:
        if not is_permitted(value):
            raise must_be(words, value)
        return value

    return BeforeValidator(check)


def _is_integer(value: object, least: int, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Neither what is not finite nor an integer that no float can hold.
    return is_number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def _known(find: Callable[[str], object]) -> AfterValidator:
    """Refuse a name as the registry does, with its hints."""

    def check(name: str) -> str:
        try:
            find(name)
        except DeepOBSError as error:
            raise refused(str(error)) from error
        return name

    return AfterValidator(check)


def _find_optimizer(name: str) -> None:
    from deepobs.runs.optimizers import find_optimizer

    find_optimizer(name)


def _seeds(value: object) -> object:
    """Read `42`, `[42, 43]` or "42..51"."""
    match = _RANGE.match(value) if isinstance(value, str) else None
    if match:
        first, last = int(match[1]), int(match[2])
        if first <= last < min(first + _MOST_SEEDS, LARGEST_SEED + 1):
            return range(first, last + 1)
    seeds = value if isinstance(value, (list, tuple)) else [value]
    if not seeds or not all(_is_integer(seed, 0, LARGEST_SEED) for seed in seeds):
        allowed = f'integers from 0 to {LARGEST_SEED}, as in 42, [42, 43, 44] or "42..51"'
        raise must_be(allowed, value)
    if len(set(seeds)) < len(seeds):
        raise must_be("different seeds", value)
    return seeds


def tables_of_optimizers(value: object) -> object:
    """Read `["SGD", "Adam"]` or a table for each; where a table names no class, its name does."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        value = dict.fromkeys(value)
    if not isinstance(value, dict) or not value:
        raise must_be('a list of names such as ["SGD", "Adam"], or a table for each', value)
    return {
        label: {"class": label, **(table or {})} if isinstance(table, dict | None) else table
        for label, table in value.items()
    }


def _find_suite(name: str) -> None:
    """Look for a suite and all of its problems."""
    catalog, suites = registry().problems, registry().suites
    for problem in suites.spec(name).problems:
        try:
            catalog.offer(problem)
        except DeepOBSError as error:
            raise DeepOBSError(f"{suites.described(name)} cannot be used: {error}") from error


_TEXT = _permitted("a text", lambda value: isinstance(value, str))

_SETTINGS = BeforeValidator(lambda value: {} if value is None else value)

Text = Annotated[str, _TEXT]
Names = tuple[Text, ...]
Settings = Annotated[dict[str, Any], _SETTINGS]
Flag = Annotated[bool, _permitted("true or false", lambda value: isinstance(value, bool))]
Count = Annotated[int, _permitted("an integer of 1 or more", lambda v: _is_integer(v, 1))]
Trials = Annotated[
    int, _permitted(f"an integer from 1 to {MOST_POINTS}", lambda v: _is_integer(v, 1, MOST_POINTS))
]
CountOrZero = Annotated[int, _permitted("an integer of 0 or more", lambda v: _is_integer(v, 0))]
Seed = Annotated[
    int,
    _permitted(f"an integer from 0 to {LARGEST_SEED}", lambda v: _is_integer(v, 0, LARGEST_SEED)),
]
NonNegative = Annotated[
    float, _permitted("a number of 0 or more", lambda v: _is_number(v) and v >= 0)
]
Positive = Annotated[float, _permitted("a number above 0", lambda v: _is_number(v) and v > 0)]
Fraction = Annotated[
    float,
    _permitted(
        "true, false or a fraction from 0 to 1",
        lambda v: isinstance(v, bool) or (_is_number(v) and 0 <= v <= 1),
    ),
]
Seeds = Annotated[tuple[int, ...], BeforeValidator(_seeds)]
ProblemName = Annotated[str, _TEXT, _known(lambda name: registry().problems.offer(name))]
SuiteName = Annotated[str, _TEXT, _known(_find_suite)]
OptimizerName = Annotated[str, _TEXT, _known(_find_optimizer)]


def one_of(*words: str) -> BeforeValidator:
    """The type of a text that is one of a few.

    Args:
        words: What is permitted.
    """
    listed = ", ".join(written(word) for word in words)

    def check(value: object) -> object:
        if value not in words:
            hint = closest(str(value), words)
            message = f"must be one of {listed}, got {written(value)}"
            raise refused(f"{message}. {hint}" if hint else message)
        return value

    return BeforeValidator(check)
