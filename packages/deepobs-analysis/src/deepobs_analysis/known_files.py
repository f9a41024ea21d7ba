"""Which files of a directory were changed since they were read, without listing what was not."""

from __future__ import annotations

import time
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs_analysis.file_statuses import FIELDS, statuses
from deepobs_analysis.result_files import TUNING, Directories, Found, walk
from deepobs_analysis.results_cache import KnownDirectories
from deepobs_analysis.run_columns import stamps_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from deepobs_analysis.results_cache import Kept
    from deepobs_analysis.run_columns import Integers

# Some file systems count time in units of two seconds.
_COARSEST_TIME = 3 * 10**9
_OF_DIRECTORY, _OF_FILE = [0, 1, 4], [2, 3, 4]


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
    names: Collection[str]
    found: list[Found]


def changes(root: str, known: Kept) -> Changes | None:
    """Find out what was changed below a directory; `None` where only a walk can tell.

    The time of change of a directory tells whether files appeared in it or vanished. It does not
    tell whether one was written in place: for that, each is looked at.
    """
    before = known.directories
    if before is None:
        return None
    others = [*known.excluded, *known.tunings]
    names = [*known.runs.names, *(file.name for file in others)]
    began = time.time_ns()
    try:
        found = statuses(root, [*(name or "." for name in before.names), *names])
    except OSError:  # as something is being changed
        return None
    directories, files = np.split(
        np.frombuffer(found, dtype=np.int64).reshape(-1, FIELDS), [len(before.names)]
    )
    listed = _listed(root, before, directories[:, _OF_DIRECTORY], began)
    if listed is None:
        return None
    stamps = np.concatenate([known.runs.stamps, stamps_of(others)])
    is_same, changed = _compared(names, stamps, files[:, _OF_FILE], listed)
    is_run, is_excluded, is_tuning = np.split(
        is_same, np.cumsum([len(known.runs), len(known.excluded)])
    )
    new_tunings = [file for file in changed if file.name.endswith(TUNING)]
    return Changes(
        np.flatnonzero(is_run),
        list(compress(known.excluded, is_excluded.tolist())),
        [*compress(known.tunings, is_tuning.tolist()), *new_tunings],
        [file for file in changed if not file.name.endswith(TUNING)],
        listed.directories,
        len(listed.names),
    )


def known_directories(visited: Directories) -> KnownDirectories:
    """The directories that a walk visited, in the form in which they are kept."""
    states = np.array(list(visited.states.values()), dtype=np.int64).reshape(-1, 3)
    return KnownDirectories(visited.began, list(visited.states), states)


def _listed(root: str, before: KnownDirectories, states: Integers, began: int) -> _Listed | None:
    """List the directories in which files may have appeared or vanished.

    Args:
        root: The directory below which they are.
        before: The directories as they were.
        states: The states that they have now.
        began: The time before these were found out.
    """
    # One that was changed shortly before it was listed can have got the same time again since.
    is_old = before.states[:, 2] < before.began - _COARSEST_TIME
    is_same = (states == before.states).all(axis=1) & is_old
    if is_same.all():
        return _Listed(before, (), [])
    same = compress(before.names, is_same.tolist())
    visited = Directories(began, dict(zip(same, map(tuple, states[is_same].tolist()), strict=True)))
    is_there = states[:, 0] >= 0
    changed = compress(before.names, (~is_same & is_there).tolist())
    unread: dict[str, str] = {}
    found = list(walk(root, unread, visited, changed))
    if unread or not visited.is_plain:
        return None
    names = set(compress(before.names, (~is_same).tolist()))
    return _Listed(known_directories(visited), names, found)


def _compared(
    names: list[str], stamps: Integers, now: Integers, listed: _Listed
) -> tuple[NDArray[np.bool_], list[Found]]:
    """Whether each known file is as it was, and the files that are new or not as they were.

    Args:
        names: The known files.
        stamps: What they were like; see `Runs`.
        now: What they are like, apart from those in directories that were listed.
        listed: What was listed.
    """
    is_same = (now == stamps).all(axis=1)
    changed = []
    is_listed = np.zeros(len(names), dtype=bool)
    if listed.names:
        is_listed[:] = [name[: name.rfind("/") + 1] in listed.names for name in names]
        is_same &= ~is_listed
        place_of = {names[place]: place for place in np.flatnonzero(is_listed).tolist()}
        for file in listed.found:
            place = place_of.get(file.name)
            if place is not None and tuple(stamps[place].tolist()) == file[1:]:
                is_same[place] = True
            else:
                changed.append(file)
    is_there = now[:, 0] >= 0
    written = np.flatnonzero(~is_same & ~is_listed & is_there).tolist()
    changed += [Found(names[place], *now[place].tolist()) for place in written]
    return is_same, changed
