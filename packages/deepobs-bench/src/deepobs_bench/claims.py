"""Which process carries out a run, where several want to: the one that holds its lock.

The locks are those of the operating system: they go away with the process that holds them, however
it ends, so that nothing has to be cleaned up after a `kill -9`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from deepobs.errors import OutputError
from deepobs.runs import store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deepobs.records import RunSpecification


@contextlib.contextmanager
def claimed(output_dir: Path, specification: RunSpecification) -> Iterator[bool]:
    """Claim a run for as long as the block lasts.

    Whoever holds a claim has to look for the result once more before it starts: another process
    may have written it and let go of its claim just before.

    Args:
        output_dir: Where results are kept.
        specification: The run.

    Yields:
        Whether the run is claimed now; `False` where another process, or thread, holds it.

    Raises:
        OutputError: Files in this directory cannot be locked.
    """
    directory = store.setting_directory(output_dir, specification)
    path = directory / f".random_seed__{specification.random_seed}__{specification.run_id}.lock"
    # Not bound to a thread: what one thread hands out, another may have to take back.
    lock: BaseFileLock = FileLock(path, thread_local=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        raise _without_locks(path, error) from error
    if isinstance(lock, SoftFileLock):  # it became one, which stays when its holder is killed
        lock.release()
        raise _without_locks(path, "the file system has no locks")
    try:
        yield True
        # With the result there, it does no harm that others may hold a lock on a file without a
        # name from now on: they will find the result.
        if store.find(output_dir, specification) is not None:
            path.unlink(missing_ok=True)
    finally:
        lock.release()


def _without_locks(path: Path, reason: object) -> OutputError:
    return OutputError(
        f"The file {path}, which keeps other processes from carrying out the same run, cannot be "
        f"locked: {reason}. Choose a directory on a file system with locks."
    )
