"""Reads what a measure is given, and refuses what it cannot use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepobs.errors import ArgumentError

if TYPE_CHECKING:
    from typing import TypeGuard

Floats: TypeAlias = NDArray[np.float64]

Direction: TypeAlias = bool | Sequence[bool]
"""Whether higher is better: on every problem, or on each."""

_NEXT = "Leave diverged runs out, or give them the worst value that a run can have."


def floats(values: ArrayLike, name: str, *, dimensions: int | None = 1) -> Floats:
    """Read an array of numbers, NaN and infinities among them.

    Args:
        values: What was given.
        name: What it is, for messages.
        dimensions: How many it must have; `None` for one or more.

    Raises:
        ArgumentError: It is empty, not made of numbers, or of another shape.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"The {name} cannot be read as an array: {error}. Pass numbers, in equally long rows."
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
    """Read an array of numbers that can be compared: infinities are allowed, NaN is not.

    Args:
        values: What was given.
        name: What it is, for messages.
        dimensions: How many it must have; `None` for one or more.

    Raises:
        ArgumentError: It cannot be used.
    """
    array = floats(values, name, dimensions=dimensions)
    if np.isnan(array).any():
        raise ArgumentError(f"The {name} must be numbers, got NaN among them. {_NEXT}")
    return array


def finite(values: ArrayLike, name: str, *, dimensions: int | None = 1) -> Floats:
    """Read an array of finite numbers.

    Args:
        values: What was given.
        name: What it is, for messages.
        dimensions: How many it must have; `None` for one or more.

    Raises:
        ArgumentError: It cannot be used.
    """
    array = floats(values, name, dimensions=dimensions)
    if not np.isfinite(array).all():
        wrong = array[~np.isfinite(array)][0]
        raise ArgumentError(f"The {name} must be finite, got {wrong} among them. {_NEXT}")
    return array


def positive(values: ArrayLike, name: str, *, dimensions: int | None = 1) -> Floats:
    """Read an array of finite numbers above zero.

    Args:
        values: What was given.
        name: What it is, for messages.
        dimensions: How many it must have; `None` for one or more.

    Raises:
        ArgumentError: It cannot be used.
    """
    array = finite(values, name, dimensions=dimensions)
    if array.min() <= 0:
        raise ArgumentError(f"The {name} must be above 0, got {array.min()} among them.")
    return array


def equally_long(name: str, array: Floats, other_name: str, other: Floats) -> None:
    """Refuse two arrays that belong together and differ in length.

    Raises:
        ArgumentError: They do.
    """
    if len(array) != len(other):
        raise ArgumentError(
            f"The {name} and the {other_name} must be equally many, got {len(array)} and "
            f"{len(other)}."
        )


def relative_tolerance(tolerance: float) -> float:
    """Refuse a tolerance that is negative or not finite.

    Raises:
        ArgumentError: It is.
    """
    if not 0 <= tolerance < np.inf:
        raise ArgumentError(f"The tolerance must be 0 or more, such as 0.1, got {tolerance}.")
    return tolerance


def signs(higher_is_better: Direction, problems: int) -> Floats:
    """1 for each problem on which higher is better, -1 for the others.

    Args:
        higher_is_better: For all problems, or one for each.
        problems: How many there are.

    Returns:
        Shape (problems,). Values times it are better the higher they are.

    Raises:
        ArgumentError: They are not as many as the problems.
    """
    if not _is_for_each(higher_is_better):
        return np.full(problems, 1.0 if higher_is_better else -1.0)
    if len(higher_is_better) != problems:
        raise ArgumentError(
            f"higher_is_better must be one bool, or one for each of {problems} problems, got "
            f"{len(higher_is_better)}."
        )
    return np.where(higher_is_better, 1.0, -1.0)


def _is_for_each(higher_is_better: Direction) -> TypeGuard[Sequence[bool]]:
    return np.ndim(higher_is_better) == 1
