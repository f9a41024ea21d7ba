"""Whether result files are still what they were, without reading them."""

from __future__ import annotations

import os
import time
from typing import TypeAlias

State: TypeAlias = list[int]
"""Of a result file: time of its last change, size, and `time_of_directory`."""

_SETTLED = 2_000_000_000  # nanoseconds; file systems keep times in steps of up to two seconds


def time_of_directory(directory: str) -> int:
    """When a file was last added to a directory or removed, in nanoseconds.

    Returns:
        0 if that is so recent that a further change may leave the same time, or if there is no such
        directory.
    """
    try:
        changed = os.stat(directory).st_mtime_ns  # noqa: PTH116 # of tens of thousands
    except OSError:
        return 0
    return changed if time.time_ns() - changed > _SETTLED else 0


def state_of(path: str, of_directory: int) -> State:
    """The state of a result file.

    Args:
        path: The file, the latest of its run.
        of_directory: The `time_of_directory` from before that was found out.

    Raises:
        OSError: There is no such file.
    """
    found = os.stat(path)  # noqa: PTH116
    return [found.st_mtime_ns, found.st_size, of_directory]


def is_same(path: str, state: State) -> bool:
    """Whether a result file is unchanged, and the latest of its run as it was then."""
    *of_file, of_directory = state
    directory, _ = os.path.split(path)
    try:
        found = os.stat(path)  # noqa: PTH116
        if [found.st_mtime_ns, found.st_size] != of_file:
            return False
        if of_directory and os.stat(directory).st_mtime_ns == of_directory:  # noqa: PTH116
            return True
    except OSError:
        return False
    return is_latest(path)


def is_latest(path: str) -> bool:
    """Whether no later result has the configuration and seed of a file."""
    directory, name = os.path.split(path)
    seed = name.rpartition("__")[0]
    try:
        names = os.listdir(directory)  # noqa: PTH208
    except OSError:
        return False
    # The time is part of the name.
    those = (one for one in names if one.startswith(f"{seed}__") and one.endswith(".json"))
    return max(those, default="") == name
