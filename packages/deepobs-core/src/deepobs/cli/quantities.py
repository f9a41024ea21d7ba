"""Durations and sizes as people write them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Write a time in the one or two units that matter: `0.213 ms`, `4.1 s`, `2 h 13 min`.

    Args:
        seconds: 0 or more.
    """
    if seconds < 0.9995:
        return f"{_three_digits(1000 * seconds)} ms"
    if seconds < 59.95:
        return f"{_three_digits(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _in_two(minutes, "min", rest, "s")
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 24:
        return _in_two(hours, "h", minutes, "min")
    days, hours = divmod(round(seconds / 3600), 24)
    return _in_two(days, "d", hours, "h")


def memory(num_bytes: int) -> str:
    """Write a size in memory: `312 MiB`, `1.46 GiB`; small ones in KiB or bytes.

    Args:
        num_bytes: 0 or more.
    """
    if num_bytes < 1000:
        return f"{num_bytes} B"
    size = num_bytes / 1024
    for unit in ("KiB", "MiB"):
        if size < 1000:
            return f"{_three_digits(size)} {unit}"
        size /= 1024
    return f"{_three_digits(size)} GiB"


def _in_two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit}" + (f" {small} {small_unit}" if small else "")


def _three_digits(value: float) -> str:
    """Three digits that count; all of them, without an exponent, where there are more."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")
