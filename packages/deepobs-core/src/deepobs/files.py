"""Atomic writing: a file appears whole or not at all."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNFINISHED = ".tmp"
"""How the names of unfinished files end that a killed writer leaves behind."""


@contextmanager
def open_atomic(path: Path, *, is_locked: bool = False) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces `path` once the block ends without an error.

    Args:
        path: The file to write, in an existing directory.
        is_locked: Whether the caller keeps other writers out. The temporary file then has a fixed
            name, so that the next writer overwrites what a killed one left behind. Otherwise any
            number of processes may write at once, and the last one wins.

    Yields:
        The temporary file, empty, for writing and reading.

    Raises:
        OSError: The file cannot be written.
    """
    name = f".{path.name}.part" if is_locked else f".{uuid.uuid4().hex}{UNFINISHED}"
    part = path.with_name(name)
    try:
        with part.open("w+b") as stream:
            yield stream
            stream.flush()
            # Without it a power failure after the renaming can leave a file of the right name
            # and no content: file systems may write the name first.
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
