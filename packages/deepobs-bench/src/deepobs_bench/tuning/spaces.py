"""Which values of a hyperparameter are tried: `log:1e-5:1e2`, `choice:true,false` and the like."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from deepobs.errors import ArgumentError, DeepOBSError, closest, sentences
from deepobs_bench.spacing import linearly_spaced, log_spaced
from deepobs_bench.values import MOST_POINTS, refused

KINDS = ("log", "uniform", "int", "one-minus-log", "choice")
_ALLOWED = (
    "Allowed: log:1e-5:1e2, uniform:0:1, int:1:10, one-minus-log:1e-4:1, a list as in a,b,c or "
    "choice:a; a number of points for grids may follow, as in log:1e-5:1e2:36."
)
_DIGITS = 6
_WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True, slots=True)
class Range:
    """All values between two.

    Attributes:
        kind: "log" for log-uniform values, "uniform", "int", or "one-minus-log" for `1 - u` with a
            log-uniform `u`, for factors near 1 such as a momentum.
        low: The smallest value, of `u` where the kind is "one-minus-log".
        high: The largest one.
        points: How many values a grid has, `None` where it was not said.
    """

    kind: str
    low: float
    high: float
    points: int | None = None

    @property
    def is_logarithmic(self) -> bool:
        """Whether values are spread evenly over the orders of magnitude."""
        return self.kind in ("log", "one-minus-log")

    def value_of(self, drawn: float) -> int | float:
        """The value of the hyperparameter that a number between `low` and `high` stands for.

        Numbers are rounded, so that they read well and are the same on every machine.
        """
        if self.kind == "int":
            return int(drawn)
        rounded = min(max(float(f"{drawn:.{_DIGITS}g}"), self.low), self.high)
        return _one_minus(rounded) if self.kind == "one-minus-log" else rounded

    def grid(self) -> list[int | float]:
        """The values of a grid, from `low` to `high`.

        Raises:
            ArgumentError: The number of points was not said.
        """
        if self.kind == "int" and self.points is None and self.high - self.low < MOST_POINTS:
            return list(range(int(self.low), int(self.high) + 1))
        if self.points is None:
            raise ArgumentError(
                f"A grid of {written(self)} needs a number of points: write {written(self)}:10."
            )
        spaced = log_spaced if self.is_logarithmic else linearly_spaced
        values = spaced(self.low, self.high, self.points)
        if self.kind == "int":
            return sorted({round(value) for value in values})
        return [_one_minus(value) if self.kind == "one-minus-log" else value for value in values]


@dataclass(frozen=True, slots=True)
class Choice:
    """Some values, none nearer to one than to another.

    Attributes:
        values: The values, as result files hold them.
    """

    values: tuple[Any, ...]

    def grid(self) -> list[Any]:
        """All of the values."""
        return list(self.values)


Dimension = Range | Choice
"""What a hyperparameter may be."""


def parsed(value: object) -> Dimension:
    """Read what `--space NAME=` or a table `space` says of a hyperparameter.

    Args:
        value: A text such as `log:1e-5:1e2`, or a list of values.

    Raises:
        ArgumentError: It has another form, or a range is empty.
    """
    if isinstance(value, (Range, Choice)):
        return value
    if isinstance(value, (list, tuple)):
        return _choice(value)
    if not isinstance(value, str):
        raise ArgumentError(f"{value!r} is no space of values. {_ALLOWED}")
    kind, _, rest = value.partition(":")
    if kind == "choice":
        return _choice(_literals(rest))
    if ":" not in value and "," in value:
        return _choice(_literals(value))
    if kind not in KINDS:
        hint = closest(kind, KINDS)
        raise ArgumentError(sentences(f"{value!r} is no space of values.", hint, _ALLOWED))
    return _range(kind, value)


def written(dimension: Dimension) -> str | list[Any]:
    """What `parsed` reads: the opposite of it."""
    if isinstance(dimension, Choice):
        return list(dimension.values)
    ends = (f"{end:.15g}" for end in (dimension.low, dimension.high))
    parts = [dimension.kind, *ends, dimension.points]
    return ":".join(str(part) for part in parts if part is not None)


def _range(kind: str, text: str) -> Range:
    try:
        low, high, *rest = text.split(":")[1:]
        ends = (float(int(low)), float(int(high))) if kind == "int" else (float(low), float(high))
        (points,) = (int(number) for number in rest) if rest else (None,)
    except ValueError:
        raise ArgumentError(f"{text!r} is no space of values. {_ALLOWED}") from None
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
    if points is not None and points > MOST_POINTS:
        raise ArgumentError(f"{text!r} has too many points: a grid has at most {MOST_POINTS}.")
    return made


def _choice(values: list[Any] | tuple[Any, ...]) -> Choice:
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


def _for_settings(value: object) -> Dimension:
    try:
        return parsed(value)
    except DeepOBSError as error:
        raise refused(str(error)) from error


DimensionSetting = Annotated[Dimension, BeforeValidator(_for_settings), PlainSerializer(written)]
"""A dimension as settings hold it: the text or list that the user wrote."""
