"""Which files of a directory were changed since they were read, without listing what was not."""

from __future__ import annotations

import os
import time
from itertools import chain, compress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs_analysis.result_files import (
    TUNING,
    Directories,
    Found,
    found_with,
    path_of,
    state_of,
    walk,
)
from deepobs_analysis.results_cache import KnownDirectories
from deepobs_analysis.run_columns import stamps_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepobs_analysis.results_cache import Kept
    from deepobs_analysis.run_columns import Integers

# Some file systems count time in units of two seconds.
_COARSEST_TIME = 3 * 10**9
_GONE = (-1, -1, -1)


class Changes(NamedTuple):
    """How the files below a directory differ from those that are known.

    Attributes:
        rows: The runs whose files are as they were.
        excluded: The files that hold no run and are as they were.
        tunings: All files with records of tunings.
        changed: All other files.
        directories: The directories as they are.
        num_listed: How many of them had to be listed.
    """

    rows: Integers
    excluded: list[Found]
    tunings: list[Found]
    changed: list[Found]
    directories: KnownDirectories
    num_listed: int


class _Listed(NamedTuple):
    """The directories as they are, the names of those that were listed, and the files in these."""

    directories: KnownDirectories
    names: set[str]
    found: list[Found]


def changes(root: str, known: Kept) -> Changes | None:
    """Find out what was changed below a directory; `None` where only a walk can tell."""
    try:
        listed = known.directories and _listed(root, known.directories)
        return _compared(root, known, listed) if listed else None
    except OSError:  # as something is being changed
        return None


def _listed(root: str, before: KnownDirectories) -> _Listed | None:
    """List the directories in which files may have appeared or vanished."""
    began = time.time_ns()
    states = _states(root, before.names)
    # One that was changed shortly before it was listed can have got the same time again since.
    is_old = before.states[:, 2] < before.began - _COARSEST_TIME
    is_same = (states == before.states).all(axis=1) & is_old
    if is_same.all():
        return _Listed(before, set(), [])
    names = compress(before.names, is_same.tolist())
    visited = Directories(
        began, dict(zip(names, map(tuple, states[is_same].tolist()), strict=True))
    )
    changed = list(compress(before.names, (~is_same).tolist()))
    there = compress(changed, (states[~is_same] != _GONE).any(axis=1).tolist())
    unread: dict[str, str] = {}
    found = list(walk(root, unread, visited, there))
    if unread or not visited.is_plain:
        return None
    return _Listed(known_directories(visited), set(changed), found)


def known_directories(visited: Directories) -> KnownDirectories:
    """The directories that a walk visited, in the form in which they are kept."""
    states = np.array(list(visited.states.values()), dtype=np.int64).reshape(-1, 3)
    return KnownDirectories(visited.began, list(visited.states), states)


def _compared(root: str, known: Kept, listed: _Listed) -> Changes:
    """Compare the files with what is known of them.

    The time of change of a directory says nothing about files that are written in place.
    """
    others = [*known.excluded, *known.tunings]
    names = [*known.runs.names, *(file.name for file in others)]
    stamps = np.concatenate([known.runs.stamps, stamps_of(others)])
    is_listed = np.zeros(len(names), dtype=bool)
    if listed.names:
        is_listed[:] = [name[: name.rfind("/") + 1] in listed.names for name in names]
    rest = np.flatnonzero(~is_listed)
    now = _stamps(root, compress(names, (~is_listed).tolist()))
    is_same = np.zeros(len(names), dtype=bool)
    is_same[rest] = (now == stamps[rest]).all(axis=1)
    place_of = {names[place]: place for place in np.flatnonzero(is_listed).tolist()}
    changed = [
        Found(names[rest[place]], *now[place].tolist())
        for place in np.flatnonzero(~is_same[rest]).tolist()
    ]
    for file in listed.found:
        place = place_of.get(file.name)
        if place is not None and file[1:] == tuple(stamps[place].tolist()):
            is_same[place] = True
        else:
            changed.append(file)
    is_run, is_excluded, is_tuning = np.split(
        is_same, np.cumsum([len(known.runs), len(known.excluded)])
    )
    tunings = [file for file in changed if file.name.endswith(TUNING)]
    return Changes(
        np.flatnonzero(is_run),
        list(compress(known.excluded, is_excluded.tolist())),
        sorted([*compress(known.tunings, is_tuning.tolist()), *tunings]),
        [file for file in changed if not file.name.endswith(TUNING)],
        listed.directories,
        len(listed.names),
    )


def _states(root: str, names: Iterable[str]) -> Integers:
    prefix, states = path_of(root, ""), []
    for name in names:
        try:
            states.append(state_of(os.stat(prefix + name)))  # noqa: PTH116 # many paths
        except (FileNotFoundError, NotADirectoryError):
            states.append(_GONE)
    return _rows(states)


def _stamps(root: str, names: Iterable[str]) -> Integers:
    prefix = path_of(root, "")
    return _rows(found_with("", os.stat(prefix + name))[1:] for name in names)  # noqa: PTH116


def _rows(rows: Iterable[tuple[int, int, int]]) -> Integers:
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64).reshape(-1, 3)
