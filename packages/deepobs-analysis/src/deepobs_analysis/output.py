"""Files that commands write for people: whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.errors import OutputError
from deepobs.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path


def write_output(path: Path, content: str | bytes) -> None:
    """Write a file, whose directory is made where it does not exist.

    Args:
        path: Where to write it. What is there is replaced.
        content: What to write; a text in UTF-8, in which what that cannot say is spelt out.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode(errors="backslashreplace")
        write_atomic(path, content)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Choose another file."
        ) from error
