"""Text for a terminal: made harmless, measured, wrapped."""

from __future__ import annotations

import textwrap
import unicodedata


def clean(text: object) -> str:
    """Make one line of harmless text of anything, such as what a stranger's plugin says of itself.

    Args:
        text: What to show.

    Returns:
        The text on one line; a character that is not printable, such as the escape character by
        which a terminal is controlled, is spelt out as in Python's source.
    """
    one_line = " ".join(str(text).split())
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in one_line
    )


def columns_of(text: str) -> int:
    """How many columns of a terminal a line of text takes."""
    return sum(_columns_of_character(character) for character in text)


def wrap(text: str, width: int | None, indent: str = "") -> list[str]:
    """Break text into lines between words; a word that is longer than a line is left whole.

    Args:
        text: One line of text.
        width: The columns a line may take, with its indent; `None` for a single line.
        indent: What every line begins with.

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
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [indent]


def _columns_of_character(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
