"""The files in a directory of results: finding them, and reading each."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from deepobs_analysis.json_values import NoResultError, parsed
from deepobs_analysis.result_formats import Run, run_from
from deepobs_analysis.tuning_records import tuning_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deepobs_analysis.tuning_records import TuningRecord

RESULT, FAILURE, CHECKPOINT, TUNING = ".json", ".failure", ".checkpoint", ".tuning"

# A thousand times those of a long run.
_MOST_BYTES = 2**26
_MOMENT = re.compile(r"__(\d{4}(?:-\d+){5,6})\.json$")


class Found(NamedTuple):
    """A file that may be a result: relative path, bytes, and time of change in nanoseconds."""

    name: str
    size: int
    modified: int

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


def walk(directory: Path, unread: dict[str, str]) -> Iterator[Found]:
    """Find the files below a directory that may say something about runs.

    Hidden files are ignored, except checkpoints. Links are followed, but never in circles. `unread`
    receives what cannot be read, and why.
    """
    # By device and inode, not by path: a link to a parent directory gives ever new paths.
    seen: set[tuple[int, int]] = set()
    waiting = [(str(directory), "")]
    while waiting:
        path, prefix = waiting.pop()
        for entry in _entries(path, prefix, seen, unread):
            is_hidden = entry.name.startswith(".")
            name = prefix + entry.name
            if entry.name.endswith(CHECKPOINT if is_hidden else (RESULT, FAILURE, TUNING)):
                found = _file(entry, name, unread)
                if found is not None:
                    yield found
            elif not is_hidden and _is_directory(entry):
                waiting.append((entry.path, f"{name}/"))


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
        data = _content(root, found)
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
    return tuning_from(_content(root, found), readable(path_of(root, found.name)))


def described(path: Path) -> Found:
    """A single file."""
    status = path.stat()
    return Found(path.name, status.st_size, status.st_mtime_ns)


def readable(name: str) -> str:
    """A file's name as valid Unicode: on disk it may hold any bytes."""
    return name if name.isascii() else os.fsencode(name).decode(errors="replace")


def unreadable(error: OSError) -> str:
    """Why a file is skipped that cannot be read."""
    return f"it cannot be read: {error.strerror or error}"


def _entries(
    directory: str, prefix: str, seen: set[tuple[int, int]], unread: dict[str, str]
) -> list[os.DirEntry[str]]:
    """The entries of a directory, sorted; none where it was visited before."""
    try:
        status = os.stat(directory)  # noqa: PTH116 # paths of 10000 files take a second
        if (status.st_dev, status.st_ino) in seen:
            return []
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(directory) as scanned:
            return sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        unread[prefix or "."] = unreadable(error)
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
    return Found(name, status.st_size, status.st_mtime_ns)


def path_of(root: str, name: str) -> str:
    """The path of a file that was found below a directory."""
    return os.path.join(root, name)  # noqa: PTH118 # paths of 10000 files take a second


def _content(root: str, found: Found) -> Any:
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
    return parsed(b"".join(parts))


def _failure(data: Any) -> Excluded:
    known = data if isinstance(data, dict) else {}
    kind, message, run_id = (known.get(key) for key in ("kind", "message", "run_id"))
    reason = ": ".join(str(part) for part in ("failed", kind, message) if part)
    return Excluded(" ".join(reason.split()), run_id if isinstance(run_id, str) else "")
