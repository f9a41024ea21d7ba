"""Reading and checking the arrays that measures are given."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepobs.errors import ArgumentError

if TYPE_CHECKING:
    from typing import TypeGuard

Floats: TypeAlias = NDArray[np.float64]

Direction: TypeAlias = bool | Sequence[bool]
"""Whether higher is better: one value for all problems, or one per problem."""

ROUNDING = 1e-13
"""Numbers that differ by less, relative to their size, differ by rounding only."""

ROUNDED_DEVIATION = 1 / math.sqrt(12)
"""Standard deviation of the error of rounding to integers, which is uniform."""

_FINEST = 10**6
_NEXT = "Drop diverged runs, or give them the worst value that a run can have."


def floats(values: ArrayLike, name: str, *, dimensions: int | None = 1) -> Floats:
    """Read a nonempty array of numbers; NaN and infinities are allowed.

    Args:
        values: The input.
        name: What messages call it.
        dimensions: Required number of dimensions; `None` for one or more.

    Raises:
        ArgumentError: It is empty, not numeric, or of another shape.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"The {name} cannot be read as an array: {error}. Pass numbers in rows of equal length."
        ) from error
    if array.ndim != dimensions and (dimensions is not None or array.ndim == 0):
        allowed = "at least one" if dimensions is None else dimensions
        raise ArgumentError(
            f"The {name} must be an array with dimensions: {allowed}, got the shape {array.shape}."
        )
    if array.size == 0:
        raise ArgumentError(f"The {name} must hold at least one number, got none.")
    return array


def ordered(values: ArrayLike, name: str, *, dimensions: int | None = 1) -> Floats:
    """Read an array without NaN; infinities are allowed. See `floats`."""
    array = floats(values, name, dimensions=dimensions)
    if np.isnan(array).any():
        raise ArgumentError(f"The {name} must be numbers, got NaN among them. {_NEXT}")
    return array


def finite(values: ArrayLike, name: str, *, dimensions: int | None = 1) -> Floats:
    """Read an array of finite numbers. See `floats`."""
    array = floats(values, name, dimensions=dimensions)
    if not np.isfinite(array).all():
        wrong = array[~np.isfinite(array)][0]
        raise ArgumentError(f"The {name} must be finite, got {wrong} among them. {_NEXT}")
    return array


def positive(values: ArrayLike, name: str) -> Floats:
    """Read a one-dimensional array of finite numbers above 0. See `floats`."""
    array = finite(values, name)
    if array.min() <= 0:
        raise ArgumentError(f"The {name} must be above 0, got {array.min()} among them.")
    return array


def equally_long(name: str, array: Floats, other_name: str, other: Floats) -> None:
    """Raise `ArgumentError` if two arrays that belong together differ in length."""
    if len(array) != len(other):
        raise ArgumentError(
            f"The {name} and the {other_name} must be equally many, got {len(array)} and "
            f"{len(other)}."
        )


def relative_tolerance(tolerance: float) -> float:
    """Raise `ArgumentError` if a tolerance is negative or not finite."""
    if not 0 <= tolerance < np.inf:
        raise ArgumentError(f"The tolerance must be 0 or more, such as 0.1, got {tolerance}.")
    return tolerance


def signs(higher_is_better: Direction, problems: int) -> Floats:
    """1 for each problem on which higher is better, -1 for the others, shape (problems,)."""
    if not _is_per_problem(higher_is_better):
        return np.full(problems, 1.0 if higher_is_better else -1.0)
    if len(higher_is_better) != problems:
        raise ArgumentError(
            f"higher_is_better must be one bool, or one for each of {problems} problems, got "
            f"{len(higher_is_better)}."
        )
    return np.where(higher_is_better, 1.0, -1.0)


def same(first: float, second: float) -> bool:
    """Whether two numbers are equal up to rounding, and so nothing that one could be ahead by."""
    return math.isclose(first, second, rel_tol=ROUNDING)


def exact_mean(values: Iterable[float]) -> float:
    """The mean of some numbers, the same in whatever order they come."""
    numbers = list(values)
    # Summed one by one, three times 0.9 has another mean than 0.9, and of equal optimizers one
    # leads by 1e-17. Even of an exact sum, the quotient may be rounded away from equal numbers.
    if min(numbers) == max(numbers):
        return numbers[0]
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return statistics.mean(numbers)


def exact_means(values: Floats) -> Floats:
    """The `exact_mean` along the last axis."""
    rows = values.reshape(-1, values.shape[-1]).tolist()
    return np.array([exact_mean(row) for row in rows]).reshape(values.shape[:-1])


def grid_step(values: ArrayLike) -> float:
    """The largest number that all of some values from 0 to 1 are multiples of, such as 1 / 320.

    Shares of n examples are multiples of 1 / n. It is 0 where there is none above 1e-6.
    """
    count = 1
    for value in np.unique(values).tolist():
        count = math.lcm(count, _denominator(value))
        if count > _FINEST:
            return 0.0
    return 1 / count if is_on_grid(values, 1 / count) else 0.0


@functools.lru_cache(2**16)  # accuracies are asked for again and again
def _denominator(value: float) -> int:
    return Fraction(value).limit_denominator(_FINEST).denominator


def is_on_grid(values: ArrayLike, step: float) -> bool:
    """Whether some values from 0 to 1 are multiples of a number above 0, up to rounding."""
    multiples = np.asarray(values) / step
    return bool(np.allclose(multiples, np.round(multiples), rtol=0, atol=1e-8))


def median(values: ArrayLike) -> float:
    """The median of numbers that may be infinite: halfway to infinity is infinite; NaN stays."""
    in_order = np.sort(values)
    # np.median would make NaN of two infinities: it subtracts one from the other.
    lower, upper = in_order[(len(in_order) - 1) // 2], in_order[len(in_order) // 2]
    return float(in_order[-1] if np.isnan(in_order[-1]) else (lower + upper) / 2)


def _is_per_problem(higher_is_better: Direction) -> TypeGuard[Sequence[bool]]:
    return np.ndim(higher_is_better) == 1
