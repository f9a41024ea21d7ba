"""Reading many result files in several processes, side by side."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, cast

import numpy as np

from deepobs.resources import gc_paused, usable_cores
from deepobs_analysis import result_files
from deepobs_analysis.result_files import Excluded, Found
from deepobs_analysis.results_cache import Kept, pack, unpacked
from deepobs_analysis.run_columns import columns_of, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deepobs_analysis.run_columns import Runs

_FEWEST = 4000  # files: processes take as long to start as reading some thousand
_BATCH = 250  # files, whose names fit into a pipe
_MOST_PROCESSES = 8  # others would wait for the files to be found
_ANSWER = "read"


class _Worker(NamedTuple):
    """A process that reads files: where it gets their names, and where it writes what they hold."""

    process: subprocess.Popen[bytes]
    task: IO[bytes]
    answer: IO[bytes]


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
    root: Path, found: Iterable[Found], unread: dict[str, str]
) -> tuple[Runs, dict[Found, Excluded]]:
    """Do the same in as many processes as there are cores, while the files are being found."""
    coming = iter(found)
    first = list(itertools.islice(coming, _FEWEST))
    count = min(usable_cores(), _MOST_PROCESSES)
    if len(first) < _FEWEST or count < 2:
        return read_files(root, itertools.chain(first, coming), unread)
    every: list[Found] = []
    parts: list[Runs] = []
    excluded: dict[Found, Excluded] = {}
    for kept in _read_elsewhere(root, _batches(itertools.chain(first, coming), every), count):
        parts.append(kept.runs)
        excluded |= kept.excluded
    # What a process could not read, or did not as it could not be started, is read here.
    done = {name for part in parts for name in part.names}
    rest = [file for file in every if file.name not in done and file not in excluded]
    runs, others = read_files(root, rest, unread)
    place_of = {file.name: place for place, file in enumerate(every)}
    runs = joined([*parts, runs])
    in_order = np.argsort([place_of[name] for name in runs.names])
    return runs.part(in_order), excluded | others


def _batches(found: Iterable[Found], every: list[Found]) -> Iterator[list[Found]]:
    """The files in batches, which are also added to `every`."""
    coming = iter(found)
    while batch := list(itertools.islice(coming, _BATCH)):
        every += batch
        yield batch


def _read_elsewhere(root: Path, batches: Iterable[list[Found]], count: int) -> Iterator[Kept]:
    with contextlib.ExitStack() as stack:
        workers: list[_Worker] = []
        with contextlib.suppress(OSError):  # such as no interpreter, where Python is embedded
            workers += [_started(stack) for _ in range(count)]
        for worker in workers:
            _send(worker, str(root))
        # In turns, as all files take about as long. While this process waits for one of them, the
        # others have a batch in their pipes.
        turns = itertools.cycle(workers)
        for batch in batches:
            if workers:
                _send(next(turns), batch)
        for worker in workers:
            with contextlib.suppress(OSError):
                worker.task.close()
        for worker in workers:
            worker.process.wait()
            worker.answer.seek(0)
            # Of one that was killed, the archive is torn.
            with contextlib.suppress(Exception):
                yield unpacked(worker.answer, _ANSWER)


def _started(stack: contextlib.ExitStack) -> _Worker:
    """Start a process that reads files, and the temporary file that it writes to."""
    answer = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 # closed with the stack
    # Not by `multiprocessing`: fork is unsafe with the threads of torch, and spawn would import the
    # script of the user, which may have no guard. -P: modules in the working directory are none of
    # ours.
    process = subprocess.Popen(  # noqa: S603 # our own interpreter
        [sys.executable or "python", "-P", "-c", f"from {__name__} import answer; answer()"],
        stdin=subprocess.PIPE,
        stdout=answer,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    stack.callback(_end, process)
    return _Worker(process, cast("IO[bytes]", process.stdin), answer)


def _send(worker: _Worker, message: object) -> None:
    # One that was killed reads nothing: its files are read here.
    with contextlib.suppress(OSError):
        worker.task.write(json.dumps(message).encode() + b"\n")
        worker.task.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def answer() -> None:
    """Read the files that the standard input names, and write what they hold to the output."""
    messages = map(json.loads, sys.stdin.buffer)
    with gc_paused():
        root = Path(next(messages))
        found = (Found(*each) for batch in messages for each in batch)
        runs, excluded = read_files(root, found, {})
    pack(sys.stdout.buffer, Kept(runs, excluded), _ANSWER)
