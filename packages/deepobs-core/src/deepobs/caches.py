"""Files in the user's cache: failing to write or read one has no consequence but time."""

from __future__ import annotations

import contextlib
import json
import time
from typing import IO, TYPE_CHECKING, Any

from deepobs.files import open_atomic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_KEPT_SECONDS = 60 * 24 * 3600  # since they were written


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file of the cache, unless the disk is full or the cache cannot be written to.

    Args:
        path: The file; its directory is created.
        fill: Writes its content.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(path) as stream:
            fill(stream)


def write_json(path: Path, value: object) -> None:
    """Write a value to a file of the cache."""
    write(path, lambda stream: stream.write(json.dumps(value).encode()))


def read_json(path: Path) -> dict[str, Any]:
    """The dictionary in a file of the cache; empty if there is none, or a broken file."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        value = json.loads(path.read_bytes())
        return value if isinstance(value, dict) else {}
    return {}


def remove_old(directory: Path) -> None:
    """Remove what was written long ago: for what may be gone, or by writers that were killed."""
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
                path.unlink(missing_ok=True)
