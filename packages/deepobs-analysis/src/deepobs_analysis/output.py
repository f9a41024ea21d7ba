"""Files that commands write for people: whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.errors import OutputError
from deepobs.files import open_atomic

if TYPE_CHECKING:
    from pathlib import Path


def write_output(path: Path, content: str | bytes) -> None:
    """Write or replace a file; its directory is created if it does not exist.

    Args:
        path: The file.
        content: Its content; text is encoded in UTF-8, where surrogates are escaped.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Names of files may hold bytes that are not UTF-8: they are escaped, not refused.
        if isinstance(content, str):
            content = content.encode(errors="backslashreplace")
        with open_atomic(path) as stream:
            stream.write(content)
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror or error}. Choose another file."
        ) from error
