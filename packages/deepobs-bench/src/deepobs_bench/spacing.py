"""Numbers at equal distances, or with equal ratios."""

from __future__ import annotations

import math


def log_spaced(low: float, high: float, count: int) -> tuple[float, ...]:
    """Numbers with equal ratios, of twelve digits besides the ends.

    Args:
        low: The first one, above 0.
        high: The last one, above 0.
        count: How many, 2 or more.
    """
    exponents = _steps(math.log10(low), math.log10(high), count)
    return (low, *(_rounded(10**exponent) for exponent in exponents), high)


def linearly_spaced(low: float, high: float, count: int) -> tuple[float, ...]:
    """Numbers at equal distances, of twelve digits besides the ends.

    Args:
        low: The first one.
        high: The last one.
        count: How many, 2 or more.
    """
    return (low, *map(_rounded, _steps(low, high, count)), high)


def _steps(low: float, high: float, count: int) -> list[float]:
    """The numbers between the ends."""
    distance = (high - low) / (count - 1)
    return [low + index * distance for index in range(1, count - 1)]


def _rounded(value: float) -> float:
    """The same number on every machine, where the last bits of a power need not be the same."""
    return float(f"{value:.12g}")
