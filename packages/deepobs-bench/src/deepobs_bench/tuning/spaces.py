"""Spaces of hyperparameters: `log:1e-5:1e2`, `choice:true,false` and the like."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from deepobs.errors import ArgumentError, DeepOBSError, closest, sentences
from deepobs_bench._validation import MAX_CONFIGURATIONS, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("log", "uniform", "int", "one-minus-log", "choice")
_ALLOWED = (
    "Allowed: log:1e-5:1e2, uniform:0:1, int:1:10, one-minus-log:1e-4:1, a list as in a,b,c or "
    "choice:a; a number of points for grids may follow, as in log:1e-5:1e2:36."
)
_DIGITS = 6
_WORDS = {"true": True, "false": False, "none": None}

BATCH_SIZE = "batch_size"
WEIGHT_DECAY = "problem_weight_decay"
PROBLEM_OPTIONS = {BATCH_SIZE: "batch_size", WEIGHT_DECAY: "weight_decay"}
"""What can be tuned besides hyperparameters, and its name in `specify`."""


@dataclass(frozen=True, slots=True)
class Range:
    """An interval of numbers.

    Attributes:
        kind: "log" for log-uniform values, "uniform", "int", or "one-minus-log" for `1 - u` with a
            log-uniform `u`, for factors near 1 such as a momentum.
        low: The smallest value, of `u` if the kind is "one-minus-log".
        high: The largest value.
        points: Number of values in a grid, if given.
    """

    kind: str
    low: float
    high: float
    points: int | None = None

    @property
    def is_logarithmic(self) -> bool:
        """Whether values are distributed evenly over orders of magnitude."""
        return self.kind in ("log", "one-minus-log")

    def value_of(self, drawn: float) -> int | float:
        """The hyperparameter that a number drawn between `low` and `high` stands for."""
        if self.kind == "int":
            return int(drawn)
        # The last bits of what a sampler draws depend on the machine; run identities must not.
        rounded = min(max(float(f"{drawn:.{_DIGITS}g}"), self.low), self.high)
        return _one_minus(rounded) if self.kind == "one-minus-log" else rounded

    def position(self, drawn: float) -> float:
        """Where a number drawn between `low` and `high` is, from 0 to 1."""
        if self.low == self.high:
            return 0.0
        if self.is_logarithmic:
            return math.log(drawn / self.low) / math.log(self.high / self.low)
        return (drawn - self.low) / (self.high - self.low)

    def middle(self) -> int | float:
        """A value in the middle."""
        between = (
            math.sqrt(self.low * self.high)
            if self.is_logarithmic
            else self.low / 2 + (self.high / 2)
        )
        return self.value_of(between)

    def ends(self) -> tuple[int | float, ...]:
        """The values at both ends."""
        return self.value_of(self.low), self.value_of(self.high)

    def grid(self) -> list[int | float]:
        """The values of a grid, from `low` to `high`.

        Raises:
            ArgumentError: The number of points is not given.
        """
        if self.kind == "int" and self.points is None and self.high - self.low < MAX_CONFIGURATIONS:
            return list(range(int(self.low), int(self.high) + 1))
        if self.points is None:
            raise ArgumentError(
                f"A grid of {written(self)} needs a number of points: write {written(self)}:10."
            )
        values = _spaced(self.low, self.high, self.points, is_log=self.is_logarithmic)
        if self.kind == "int":
            # Neighbors can round to the same integer, which is tried once.
            return sorted({round(value) for value in values})
        return [_one_minus(value) if self.kind == "one-minus-log" else value for value in values]


@dataclass(frozen=True, slots=True)
class Choice:
    """A list of values without an order."""

    values: tuple[Any, ...]

    def middle(self) -> Any:
        """A value in the middle of the list."""
        return self.values[len(self.values) // 2]

    def ends(self) -> tuple[Any, ...]:
        """The least and the largest value."""
        return min(self.values), max(self.values)

    def grid(self) -> list[Any]:
        """All of the values."""
        return list(self.values)


Dimension = Range | Choice


def num_points(space: Mapping[str, Dimension]) -> int | None:
    """The number of configurations in a space; `None` if it has infinitely many."""
    sizes = []
    for dimension in space.values():
        if isinstance(dimension, Choice):
            sizes.append(len(dimension.values))
        elif dimension.kind == "int":
            sizes.append(int(dimension.high) - int(dimension.low) + 1)
        else:
            return None
    return math.prod(sizes)


def _spaced(low: float, high: float, count: int, *, is_log: bool) -> list[float]:
    """Numbers at equal distances or with equal ratios, rounded to twelve digits but for the ends.

    They are rounded since the last bits of a power can depend on the machine.
    """
    first, last = (math.log10(low), math.log10(high)) if is_log else (low, high)
    distance = (last - first) / (count - 1)
    steps = [first + index * distance for index in range(1, count - 1)]
    return [low, *(float(f"{10**step if is_log else step:.12g}") for step in steps), high]


def parsed(value: object) -> Dimension:
    """Read a space.

    Args:
        value: A string such as `log:1e-5:1e2`, or a list of values.

    Raises:
        ArgumentError: It has another form, or an interval is empty.
    """
    if isinstance(value, (Range, Choice)):
        return value
    if isinstance(value, (list, tuple)):
        return _choice(value)
    if not isinstance(value, str):
        raise ArgumentError(f"{value!r} is not a space. {_ALLOWED}")
    kind, _, rest = value.partition(":")
    if kind == "choice":
        return _choice(_literals(rest))
    if ":" not in value and "," in value:
        return _choice(_literals(value))
    if kind not in KINDS:
        hint = closest(kind, KINDS)
        raise ArgumentError(sentences(f"{value!r} is not a space.", hint, _ALLOWED))
    return _range(kind, value)


def written(dimension: Dimension) -> str | list[Any]:
    """Write a space so that `parsed` reads it."""
    if isinstance(dimension, Choice):
        return list(dimension.values)
    ends = (f"{end:.15g}" for end in (dimension.low, dimension.high))
    parts = [dimension.kind, *ends, dimension.points]
    return ":".join(str(part) for part in parts if part is not None)


def _range(kind: str, text: str) -> Range:
    try:
        low, high, *rest = text.split(":")[1:]
        # By way of `int`, which refuses 1.5.
        ends = (float(int(low)), float(int(high))) if kind == "int" else (float(low), float(high))
        (points,) = (int(number) for number in rest) if rest else (None,)
    except ValueError:
        raise ArgumentError(f"{text!r} is not a space. {_ALLOWED}") from None
    made = Range(kind, *ends, points)
    if not all(map(math.isfinite, ends)) or made.low >= made.high:
        raise ArgumentError(f"{text!r} is empty: the first number must be below the second.")
    if made.is_logarithmic and made.low <= 0:
        raise ArgumentError(
            f"{text!r} begins at {made.low:g}: a logarithmic space must be above 0."
        )
    if kind == "one-minus-log" and made.high > 1:
        raise ArgumentError(f"{text!r} ends too high: one-minus-log must not exceed 1.")
    if points is not None and points < 2:
        raise ArgumentError(f"{text!r} has {points} points: a grid needs 2 or more.")
    if points is not None and points > MAX_CONFIGURATIONS:
        raise ArgumentError(
            f"{text!r} has too many points: a grid has at most {MAX_CONFIGURATIONS}."
        )
    return made


def _choice(values: list[Any] | tuple[Any, ...]) -> Choice:
    # By their text: lists have no hash, and True equals 1.
    different = {repr(value) for value in values}
    if not values or len(different) < len(values):
        raise ArgumentError(
            f"A choice must have values, each of them once; got {list(values)!r}. {_ALLOWED}"
        )
    return Choice(tuple(list(value) if isinstance(value, tuple) else value for value in values))


def _literals(text: str) -> list[Any]:
    """Read `1,2`, `(0.9,0.99),(0.8,0.9)` or `a,true`."""
    if not text.strip():
        return []
    # Unlike `eval`, it neither looks up names nor calls anything.
    try:
        return list(ast.literal_eval(f"[{text}]"))
    except (SyntaxError, ValueError):
        return [_literal(part.strip()) for part in text.split(",")]


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return _WORDS.get(text.lower(), text)


def _one_minus(value: float) -> float:
    return float(f"{1 - value:.12g}")


def _validated(value: object) -> Dimension:
    try:
        return parsed(value)
    except DeepOBSError as error:
        raise refused(str(error)) from error


DimensionSetting = Annotated[Dimension, BeforeValidator(_validated), PlainSerializer(written)]
"""A dimension, serialized as the string or list that the user wrote."""
