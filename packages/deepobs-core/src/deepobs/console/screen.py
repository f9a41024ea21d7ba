"""Output of commands: text, tables, JSON and messages.

Tables are drawn here rather than by rich, whose import alone would add a third to the time that
`deepobs list` takes.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import click

from deepobs.console.text import clean, columns_of, wrap
from deepobs.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = "  "
_NARROWEST = 24
"""Fewest columns in which running text in the last column is readable."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its heading.
        is_number: Whether its values are right-aligned.
    """

    heading: str
    is_number: bool = False


def terminal_width(stream: TextIO | None = None) -> int | None:
    """The width of the terminal in columns, `None` if the output goes to a file or pipe.

    Args:
        stream: Output stream; `None` for standard output.
    """
    # Asked anew for each output: one stream may be piped while the other is a terminal, which may
    # be resized meanwhile.
    is_terminal = (stream or sys.stdout).isatty()
    return shutil.get_terminal_size().columns if is_terminal else None


def show(text: str = "", *, is_heading: bool = False, stream: TextIO | None = None) -> None:
    """Write a line; what the encoding of the stream lacks is escaped.

    Args:
        text: The line.
        is_heading: Whether it is bold on a terminal.
        stream: Output stream; `None` for standard output.
    """
    stream = stream or sys.stdout
    if is_heading and "NO_COLOR" not in os.environ:
        text = click.style(text, bold=True)
    # In the C locale a name with an umlaut would end the command in a UnicodeEncodeError.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)
    except BrokenPipeError:  # click ends quietly when the reader, such as head, closed the pipe
        raise
    except OSError as error:
        raise OutputError(
            f"The output cannot be written: {error.strerror or error}. "
            "Redirect it to a writable file."
        ) from error


def show_text(text: str) -> None:
    """Write running text to standard output, wrapped on a terminal."""
    for line in wrap(clean(text), terminal_width()):
        show(line)


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
    """Write a table to standard output; see `render`."""
    heading, lines = render(columns, rows, terminal_width())
    show(heading, is_heading=True)
    for line in lines:
        show(line)


def show_fields(fields: Mapping[str, object], indent: str = "") -> None:
    """Write names and values to standard output, one pair a line.

    Args:
        fields: Values by name.
        indent: Prefix of every line.
    """
    width = terminal_width()
    available = None if width is None else width - len(indent)
    _, lines = render([Column(""), Column("")], list(fields.items()), available)
    for line in lines:
        show(indent + line)


def show_json(value: object) -> None:
    """Write a value to standard output as strict JSON.

    Args:
        value: Anything; what JSON cannot represent (paths, NaN) becomes its text in Python.
    """
    # Python would write NaN and Infinity, which are not JSON and which other parsers refuse.
    show(json.dumps(_jsonable(value), indent=2, allow_nan=False))


def show_message(kind: str, message: object) -> None:
    """Write a message to standard error, wrapped on a terminal.

    Args:
        kind: Its label, such as "Error" or "Warning".
        message: What happened, in one or more lines.
    """
    width = terminal_width(sys.stderr)
    for number, line in enumerate(str(message).splitlines() or [""]):
        prefix = f"{kind}: " if number == 0 else ""
        for wrapped in wrap(prefix + clean(line), width):
            show(wrapped, stream=sys.stderr)


def start_line() -> None:
    """Erase the current line of standard error, if that is a terminal."""
    # After Ctrl-C, the terminal itself writes ^C wherever the cursor is.
    if sys.stderr.isatty():
        click.echo("\r\x1b[2K", nl=False, err=True)


def show_progress(sentence: str) -> None:
    """Write what a slow command is doing to standard error, if that is a terminal."""
    if sys.stderr.isatty():
        click.echo(clean(sentence), err=True)


def render(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int | None
) -> tuple[str, list[str]]:
    """Lay out a table whose last column holds running text.

    Args:
        columns: Columns from left to right.
        rows: A value for each column; control characters in them are escaped.
        width: Columns of the terminal; `None` for one line a row, however long.

    Returns:
        The line of headings, and the lines below it. The last column is wrapped; where it would
        be too narrow, it is placed below the others instead.
    """
    cells = [[column.heading for column in columns]]
    cells += [[clean(value) for value in row] for row in rows]
    # All but the last column of each line, which grow from left to right.
    starts = [""] * len(cells)
    for index, column in enumerate(columns[:-1]):
        # len() would misalign a table: wide characters take two columns, combining ones none.
        widths = [columns_of(row[index]) for row in cells]
        widest = max(widths)
        for line, row in enumerate(cells):
            filling = " " * (widest - widths[line])
            aligned = filling + row[index] if column.is_number else row[index] + filling
            starts[line] += aligned + _GAP
    left = columns_of(starts[0])
    is_stacked = width is not None and _needed(cells[1:]) > width - left
    lines = []
    for start, row in zip(starts[1:], cells[1:], strict=True):
        if is_stacked:
            lines += [start.rstrip(), *(wrap(row[-1], width, _GAP) if row[-1] else [])]
        else:
            first, *others = wrap(row[-1], None if width is None else width - left)
            lines += [(start + first).rstrip(), *(" " * left + line for line in others)]
    return (starts[0] if is_stacked else starts[0] + columns[-1].heading).rstrip(), lines


def _needed(cells: list[list[str]]) -> int:
    """Columns that the last column needs to be readable beside the others."""
    texts = [row[-1] for row in cells]
    longest_word = max((columns_of(word) for text in texts for word in text.split()), default=0)
    longest_text = max(map(columns_of, texts), default=0)
    return max(longest_word, min(longest_text, _NARROWEST))


def _jsonable(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted(map(str, value))
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
