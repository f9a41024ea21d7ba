"""Text for people: terminal-safe lines, wrapping, durations, sizes and counts."""

from __future__ import annotations

import json
import textwrap
import unicodedata


def clean(text: object) -> str:
    """Turn anything into one line that is safe to print.

    Args:
        text: What to show, such as a summary from another package.

    Returns:
        The text on one line; unprintable characters are escaped as in Python source.
    """
    one_line = " ".join(str(text).split())
    # A raw escape character would let a plugin's metadata control the terminal.
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in one_line
    )


def columns_of(text: str) -> int:
    """The terminal columns that a line of text occupies."""
    columns = 0
    for character in text:
        if not unicodedata.combining(character):
            columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return columns


def wrap(text: str, width: int | None, indent: str = "") -> list[str]:
    """Break text into lines between words; words longer than a line stay whole.

    Args:
        text: One line of text.
        width: Columns of a line, including its indent; `None` for a single line.
        indent: Prefix of every line.

    Returns:
        At least one line.
    """
    if width is None:
        return [indent + text]
    lines = textwrap.wrap(
        text,
        max(width, len(indent) + 1),
        initial_indent=indent,
        subsequent_indent=indent,
        # Paths, commands and names such as deepobs-core must stay whole to be copied.
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [indent]


def shown_value(value: object) -> str:
    """Write a hyperparameter as tables of results do: `false`, `null`, 0 for 0.0.

    Args:
        value: A value of JSON.
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        short = f"{value:.4g}"
        # In full where it has more digits: people copy it into commands and files.
        return short if float(short) == value else repr(value)
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(shown_value, value))})"
    return str(value)


def counted(number: int, noun: str) -> str:
    """Format a count: `1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Format a duration of 0 or more seconds: `0.213 ms`, `4.1 s`, `2 h 13 min`."""
    # The bounds are where rounding would carry over, so that 0.9996 s is not shown as 1000 ms.
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
    """Format a size of 0 or more bytes in binary units: `312 MiB`, `1.46 GiB`."""
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
    """Three significant digits; all digits, never an exponent, for larger numbers."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")
