"""Writing into a data directory: one process at a time, and every file whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from filelock import FileLock

from deepobs.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes from writing into a directory meanwhile.

    Args:
        directory: What to lock; made where it does not exist.

    Raises:
        DataError: It cannot be written to.
    """
    with explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".download.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def replacing(target: Path, part: Path | None = None) -> Iterator[IO[bytes]]:
    """An empty file beside a place, which takes it once the block ended without an error.

    What a killed process left behind is overwritten.

    Args:
        target: The place. What is there is replaced.
        part: The file until then; `None` for a hidden one that is named after the place.

    Yields:
        The file, open for writing and reading.
    """
    part = part or _part(target)
    try:
        with part.open("w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def temporary(target: Path) -> Iterator[IO[bytes]]:
    """An empty file beside a place, which is gone once the block ended.

    What a killed process left behind is overwritten.

    Args:
        target: The place.

    Yields:
        The file, open for writing and reading.
    """
    part = _part(target)
    try:
        with part.open("w+b") as stream:
            yield stream
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Turn what the file system objects to into one clear error.

    Args:
        directory: What the block writes into.

    Raises:
        DataError: It cannot be written to.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The data directory {directory} cannot be written to: {error.strerror or error}. "
            "Choose another one by the environment variable DEEPOBS_DATA_DIR or by "
            "deepobs.pytorch.config.set_data_dir."
        ) from error


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")
