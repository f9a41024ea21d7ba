"""Files in a directory of results: which there are, and what each of them is."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from deepobs_analysis.formats import run_from
from deepobs_analysis.run import Run
from deepobs_analysis.values import NoResultError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESULT, FAILURE, CHECKPOINT = ".json", ".failure", ".checkpoint"
_ENDINGS = (RESULT, FAILURE)

_MOST_BYTES = 2**26  # a thousand times a long run's


class Found(NamedTuple):
    """A file that may be a result.

    Attributes:
        name: Where it is, relative to the directory that is read.
        size: Its length in bytes.
        modified: When it was changed last, in nanoseconds.
    """

    name: str
    size: int
    modified: int


class Excluded(NamedTuple):
    """Why a file is no part of the results.

    Attributes:
        reason: In a few words.
        run_id: The run that failed or is unfinished, in files of ours; else empty.
    """

    reason: str
    run_id: str = ""


Content: TypeAlias = Run | Excluded


def walk(directory: Path, unread: dict[str, str]) -> Iterator[Found]:
    """The files below a directory that may say something about runs.

    What is hidden is passed over, but for checkpoints. Links are followed, never in circles.

    Args:
        directory: Where to look.
        unread: Receives what cannot be read, and why.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [(str(directory), "")]
    while waiting:
        path, prefix = waiting.pop()
        for entry in _entries(path, prefix, seen, unread):
            is_hidden = entry.name.startswith(".")
            name = prefix + entry.name
            if entry.name.endswith(CHECKPOINT if is_hidden else _ENDINGS):
                found = _file(entry, name, unread)
                if found is not None:
                    yield found
            elif not is_hidden and _is_directory(entry):
                waiting.append((entry.path, f"{name}/"))


def _entries(
    directory: str, prefix: str, seen: set[tuple[int, int]], unread: dict[str, str]
) -> list[os.DirEntry[str]]:
    """What is in a directory, sorted; nothing where it was looked into already."""
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


def described(path: Path) -> Found:
    """A single file.

    Args:
        path: Where it is.
    """
    status = path.stat()
    return Found(path.name, status.st_size, status.st_mtime_ns)


def read(path: Path, found: Found) -> Content:
    """Read a file.

    Args:
        path: Where it is.
        found: What is known about it.

    Returns:
        The run, or why there is none.

    Raises:
        OSError: It cannot be read.
    """
    if path.name.endswith(CHECKPOINT):
        run_id = path.name.removesuffix(CHECKPOINT).rpartition("__")[2]
        return Excluded("it is unfinished: there is a checkpoint", run_id)
    if found.size > _MOST_BYTES:
        return Excluded(f"it is no result: it has {found.size / 2**20:.0f} MiB")
    try:
        data = _json(path.read_bytes())
        return _failure(data) if path.name.endswith(FAILURE) else run_from(data)
    except NoResultError as error:
        return Excluded(str(error))


def _json(content: bytes) -> Any:
    if not content.strip():
        raise NoResultError("it is broken: there is nothing in it")
    try:
        data = json.loads(content)
        if b"\\u" in content:  # halves of characters, which no table or figure takes
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NoResultError("it is broken: it holds halves of characters") from None
    except (ValueError, RecursionError) as error:
        raise NoResultError(f"it is broken: it is no JSON ({error})") from None
    return data


def _failure(data: Any) -> Excluded:
    known = data if isinstance(data, dict) else {}
    kind, message, run_id = (known.get(key) for key in ("kind", "message", "run_id"))
    told = ": ".join(str(part) for part in ("failed", kind, message) if part)
    return Excluded(" ".join(told.split()), run_id if isinstance(run_id, str) else "")


def readable(name: str) -> str:
    """A file's name as text: it may hold bytes that are no characters."""
    return os.fsencode(name).decode(errors="replace")


def unreadable(error: OSError) -> str:
    """Why a file is left out that cannot be read."""
    return f"it cannot be read: {error.strerror or error}"
