"""Commands in a terminal: Ctrl-C at a given moment, and what the terminal then shows."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CONTROL = re.compile(r"\x1b\[(\?25[hl]|\d*A|2K|[\d;]*m)|[\r\n]")


def interrupted_in_terminal(
    command: Sequence[str], directory: Path, *, after: str, variables: Mapping[str, str]
) -> tuple[int, str]:
    """Press Ctrl-C once the command has written something.

    Args:
        command: The command.
        directory: Where it is executed.
        after: A regular expression of its output.
        variables: Further environment variables.

    Returns:
        The exit code, and all that was written.
    """
    process, terminal = pty.fork()
    if not process:
        os.chdir(directory)
        size = {"COLUMNS": "90", "LINES": "30", "TERM": "xterm-256color"}
        os.execvpe(command[0], command, {**os.environ, **size, **variables})  # noqa: S606
    written, is_interrupted, deadline = b"", False, time.monotonic() + 180
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            written += os.read(terminal, 65536)
        except OSError:  # the command has ended
            break
        if not is_interrupted and re.search(after.encode(), written):
            os.write(terminal, b"\x03")
            is_interrupted = True
    else:  # it would go on for hours where it was started with SIGHUP ignored
        os.kill(process, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), written.decode()


def lines_on_screen(written: str) -> list[str]:
    """The lines that a terminal shows, of output that moves the cursor as progress bars do."""
    lines, row, column, position = [""], 0, 0, 0
    while position < len(written):
        control = _CONTROL.match(written, position)
        if control is None:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + written[position] + line[column + 1 :]
            column += 1
        elif control[0] == "\r":
            column = 0
        elif control[0] == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif control[0].endswith("A"):
            row -= int(control[1][:-1] or 1)
        elif control[0].endswith("K"):
            lines[row] = ""
        position = control.end() if control else position + 1
    return [line.rstrip() for line in lines]
