"""Files that are complete or not there at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(target: Path, part: Path | None = None) -> Iterator[IO[bytes]]:
    """Open an empty file beside a path, which takes it once the block ended without an error.

    What a killed process left behind is overwritten.

    Args:
        target: The path. An existing file is replaced.
        part: The file until then; `None` for a hidden one that is named after the path.

    Yields:
        The file, open for writing and reading.
    """
    part = part or target.with_name(f".{target.name}.part")
    try:
        with part.open("w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
