"""Reading many result files in several processes, side by side."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from deepobs.resources import gc_paused, usable_cores
from deepobs_analysis import result_files
from deepobs_analysis.result_files import Excluded, Found
from deepobs_analysis.results_cache import Kept, pack, unpacked
from deepobs_analysis.run_columns import columns_of, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deepobs_analysis.run_columns import Runs

_FEWEST = 4000  # files for a process, which takes as long to start as reading some thousand
_ANSWER = "read"


def read_files(
    root: Path, found: Iterable[Found], unread: dict[str, str]
) -> tuple[Runs, dict[Found, Excluded]]:
    """Read result files: their runs, and the files that hold none.

    Args:
        root: The directory that their names are relative to.
        found: The files.
        unread: Receives what cannot be read, and why.
    """
    directory, runs, excluded = str(root), [], {}
    for file in found:
        try:
            content = result_files.read(directory, file)
        except OSError as error:
            unread[file.name] = result_files.unreadable(error)
            continue
        if isinstance(content, Excluded):
            excluded[file] = content
        else:
            runs.append((file, content))
    return columns_of(runs), excluded


def read_many(
    root: Path, found: Sequence[Found], unread: dict[str, str]
) -> tuple[Runs, dict[Found, Excluded]]:
    """Do the same in as many processes as there are cores."""
    count = min(usable_cores(), len(found) // _FEWEST)
    if count < 2:
        return read_files(root, found, unread)
    size = -(-len(found) // count)
    parts: list[Runs] = []
    excluded: dict[Found, Excluded] = {}
    for kept in _read_elsewhere(
        root, [found[start : start + size] for start in range(0, len(found), size)]
    ):
        parts.append(kept.runs)
        excluded |= kept.excluded
    # What a process could not read, or did not as it could not be started, is read here.
    done = {name for part in parts for name in part.names}
    rest = [file for file in found if file.name not in done and file not in excluded]
    runs, others = read_files(root, rest, unread)
    return joined([*parts, runs]), excluded | others


def _read_elsewhere(root: Path, parts: Iterable[Sequence[Found]]) -> Iterator[Kept]:
    with contextlib.ExitStack() as stack:
        try:
            workers = [_started(root, part, stack) for part in parts]
        except OSError:  # such as no interpreter, where Python is embedded
            return
        for process, answer in workers:
            process.wait()
            answer.seek(0)
            # Of one that was killed, the archive is torn.
            with contextlib.suppress(Exception):
                yield unpacked(answer, _ANSWER)


def _started(
    root: Path, found: Sequence[Found], stack: contextlib.ExitStack
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start a process that reads some files, and the temporary file that it writes to."""
    task = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 # closed with the stack
    answer = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 # closed with the stack
    task.write(json.dumps([str(root), found]).encode())
    task.seek(0)
    # Not by `multiprocessing`: fork is unsafe with the threads of torch, and spawn would import the
    # script of the user, which may have no guard. -P: modules in the working directory are none of
    # ours.
    process = subprocess.Popen(  # noqa: S603 # our own interpreter
        [sys.executable or "python", "-P", "-c", f"from {__name__} import answer; answer()"],
        stdin=task,
        stdout=answer,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    stack.callback(_end, process)
    return process, answer


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def answer() -> None:
    """Read the files that the standard input names, and write what they hold to the output."""
    root, found = json.load(sys.stdin.buffer)
    with gc_paused():
        runs, excluded = read_files(Path(root), [Found(*each) for each in found], {})
    pack(sys.stdout.buffer, Kept(runs, excluded), _ANSWER)
