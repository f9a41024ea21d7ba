"""The files in a directory of results: finding them, and reading each."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from deepobs_analysis.json_values import NoResultError, parsed
from deepobs_analysis.result_formats import Run, run_from
from deepobs_analysis.tuning_records import tuning_from
from deepobs_analysis.usual_files import usual_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from deepobs_analysis.tuning_records import TuningRecord

RESULT, FAILURE, CHECKPOINT, TUNING = ".json", ".failure", ".checkpoint", ".tuning"

# A thousand times those of a long run.
_MOST_BYTES = 2**26
_MOMENT = re.compile(r"__(\d{4}(?:-\d+){5,6})\.json$")


class Found(NamedTuple):
    """A file that may be a result.

    Attributes:
        name: Relative path.
        size: Bytes.
        modified: When its content was changed, in nanoseconds; copies can have that of the file.
        changed: When anything about it was changed: no program can set this time.
    """

    name: str
    size: int
    modified: int
    changed: int

    @property
    def moment(self) -> tuple[str, int, str]:
        """When it was written, to be compared with that of others."""
        # The name says it even of copies, whose time of change is that of copying.
        match = _MOMENT.search(self.name)
        return match[1] if match else "", self.modified, self.name


class Excluded(NamedTuple):
    """A file that is not a result, and why.

    Attributes:
        reason: Why.
        run_id: The run that failed or is unfinished, if any.
        refused_id: The run whose result cannot be used, such as one on synthetic data, if any.
        synthetic: The test problem of a run on synthetic data.
    """

    reason: str
    run_id: str = ""
    refused_id: str = ""
    synthetic: str = ""


Content: TypeAlias = Run | Excluded


@dataclass(slots=True)
class Directories:
    """The directories that a walk visited.

    Attributes:
        began: When the walk began, in nanoseconds.
        states: Device, inode and time of change of each, by its relative path and "/".
        is_plain: Whether there were no links and no errors. Then files and directories appear and
            vanish only where the time of change of a directory says so.
    """

    began: int = field(default_factory=time.time_ns)
    states: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    is_plain: bool = True


def walk(
    root: str,
    unread: dict[str, str],
    visited: Directories | None = None,
    start: Iterable[str] = ("",),
) -> Iterator[Found]:
    """Find the files below a directory that may say something about runs.

    Hidden files are ignored, except checkpoints. Links are followed, but never in circles.

    Args:
        root: The directory.
        unread: Receives what cannot be read, and why.
        visited: Directories to pass over; receives those that are visited.
        start: Where to begin, relative to the directory.
    """
    visited = Directories() if visited is None else visited
    # By device and inode, not by path: a link to a parent directory gives ever new paths.
    seen = {state[:2] for state in visited.states.values()}
    waiting = list(start)
    while waiting:
        prefix = waiting.pop()
        if prefix in visited.states:
            continue
        for entry in _entries(root, prefix, seen, unread, visited):
            is_hidden = entry.name.startswith(".")
            name = prefix + entry.name
            if entry.name.endswith(CHECKPOINT if is_hidden else (RESULT, FAILURE, TUNING)):
                visited.is_plain &= not entry.is_symlink()
                found = _file(entry, name, unread)
                if found is not None:
                    yield found
            elif not is_hidden:
                visited.is_plain &= not entry.is_symlink()
                if _is_directory(entry):
                    waiting.append(f"{name}/")


def read(root: str, found: Found) -> Content:
    """Read a file that `walk` or `described` found: the run, or why there is none.

    Args:
        root: The directory that its name is relative to.
        found: The file.

    Raises:
        OSError: It cannot be read.
    """
    if found.name.endswith(CHECKPOINT):
        run_id = found.name.removesuffix(CHECKPOINT).rpartition("__")[2]
        return Excluded("it is unfinished: there is a checkpoint", run_id)
    data = None
    try:
        content = _content(root, found)
        run = usual_run(content)
        if run is not None:
            return run
        data = parsed(content)
        return _failure(data) if found.name.endswith(FAILURE) else run_from(data)
    except NoResultError as error:
        known = data if isinstance(data, dict) else {}
        refused, problem = known.get("run_id"), known.get("testproblem")
        is_synthetic = bool(known.get("fake_data")) and isinstance(problem, str)
        return Excluded(
            str(error),
            refused_id=refused if isinstance(refused, str) else "",
            synthetic=str(problem) if is_synthetic else "",
        )


def read_tuning(root: str, found: Found) -> TuningRecord:
    """Read the record of a tuning, whose name is relative to `root`.

    Raises:
        OSError: It cannot be read.
        NoResultError: It holds something else.
    """
    return tuning_from(parsed(_content(root, found)), readable(path_of(root, found.name)))


def described(path: Path) -> Found:
    """A single file."""
    return found_with(path.name, path.stat())


def state_of(status: os.stat_result) -> tuple[int, int, int]:
    """What tells whether a directory is as it was; see `Directories`."""
    # Some file systems number files with unsigned integers.
    return status.st_dev, status.st_ino % 2**63, status.st_ctime_ns


def found_with(name: str, status: os.stat_result) -> Found:
    """A file with a relative path and the status of the file there."""
    return Found(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def readable(name: str) -> str:
    """A file's name as valid Unicode: on disk it may hold any bytes."""
    return name if name.isascii() else os.fsencode(name).decode(errors="replace")


def unreadable(error: OSError) -> str:
    """Why a file is skipped that cannot be read."""
    return f"it cannot be read: {error.strerror or error}"


def _entries(
    root: str,
    prefix: str,
    seen: set[tuple[int, int]],
    unread: dict[str, str],
    visited: Directories,
) -> list[os.DirEntry[str]]:
    """The entries of a directory, sorted; none where it was visited before."""
    path = path_of(root, prefix)
    try:
        state = state_of(os.stat(path))  # noqa: PTH116 # paths of 10000 files take a second
        if state[:2] in seen:
            visited.is_plain = False
            return []
        seen.add(state[:2])
        visited.states[prefix] = state
        with os.scandir(path) as scanned:
            return sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        unread[prefix or "."] = unreadable(error)
        visited.is_plain = False
        return []


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _file(entry: os.DirEntry[str], name: str, unread: dict[str, str]) -> Found | None:
    try:
        if not entry.is_file():
            return None
        status = entry.stat()
    except OSError as error:
        unread[name] = unreadable(error)
        return None
    return found_with(name, status)


def path_of(root: str, name: str) -> str:
    """The path of a file that was found below a directory."""
    return os.path.join(root, name)  # noqa: PTH118 # paths of 10000 files take a second


def _content(root: str, found: Found) -> bytes:
    # Before reading: a data set or a model that lies among results would fill the memory.
    if found.size > _MOST_BYTES:
        raise NoResultError(f"it is not a result: it has {found.size / 2**20:.0f} MiB")
    # A file object takes twice as long as the system.
    descriptor = os.open(path_of(root, found.name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, found.size + 1):
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def _failure(data: Any) -> Excluded:
    known = data if isinstance(data, dict) else {}
    kind, message, run_id = (known.get(key) for key in ("kind", "message", "run_id"))
    reason = ": ".join(str(part) for part in ("failed", kind, message) if part)
    return Excluded(" ".join(reason.split()), run_id if isinstance(run_id, str) else "")
