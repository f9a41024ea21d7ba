"""What the commands write, and where: text and tables, JSON, messages."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, TextIO

import click

from deepobs.cli.tables import Column, render
from deepobs.cli.text import clean, wrap
from deepobs.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def terminal_width(stream: TextIO | None = None) -> int | None:
    """The columns of the terminal, `None` where the output goes into a file or a pipe.

    Args:
        stream: Where the output goes; `None` for standard output.
    """
    is_terminal = (stream or sys.stdout).isatty()
    return shutil.get_terminal_size().columns if is_terminal else None


def show(text: str = "") -> None:
    """Write a line to standard output."""
    _write(text, sys.stdout)


def show_heading(text: str) -> None:
    """Write a line to standard output, bold where that is a terminal."""
    show(text if "NO_COLOR" in os.environ else click.style(text, bold=True))


def show_text(text: str) -> None:
    """Write running text to standard output, wrapped where that is a terminal."""
    for line in wrap(clean(text), terminal_width()):
        show(line)


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
    """Write a table to standard output; see `deepobs.cli.tables.render`."""
    heading, lines = render(columns, rows, terminal_width())
    show_heading(heading)
    for line in lines:
        show(line)


def show_fields(fields: Mapping[str, object], indent: str = "") -> None:
    """Write names and values to standard output, one below the other.

    Args:
        fields: The values by name.
        indent: What every line begins with.
    """
    width = terminal_width()
    available = None if width is None else width - len(indent)
    _, lines = render([Column(""), Column("")], list(fields.items()), available)
    for line in lines:
        show(indent + line)


def show_json(value: object) -> None:
    """Write a value to standard output as JSON that every parser reads."""
    show(json.dumps(jsonable(value), indent=2, allow_nan=False))


def show_message(kind: str, message: object) -> None:
    """Write a message to standard error, wrapped where that is a terminal.

    Args:
        kind: "Error" or "Warning".
        message: What happened; may have several lines.
    """
    width = terminal_width(sys.stderr)
    for number, line in enumerate(str(message).splitlines() or [""]):
        prefix = f"{kind}: " if number == 0 else ""
        for wrapped in wrap(prefix + clean(line), width):
            _write(wrapped, sys.stderr)


def jsonable(value: object) -> object:
    """Turn what descriptions may hold into what JSON has.

    Args:
        value: Anything; what JSON cannot say becomes the text that Python shows for it.
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted(map(str, value))
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _write(line: str, stream: TextIO) -> None:
    """Write a line, with what the stream cannot encode spelt out."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        click.echo(line.encode(encoding, "backslashreplace").decode(encoding), file=stream)
    except BrokenPipeError:  # whoever reads has seen enough, which click knows
        raise
    except OSError as error:
        raise OutputError(
            f"The output cannot be written: {error.strerror or error}. Send it elsewhere."
        ) from error
