"""What is known of the results in a directory, so that only changed ones are looked at again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from deepobs import caches, config
from deepobs.result_states import is_same
from deepobs_bench import __version__

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from deepobs.records import RunRecord
    from deepobs.result_states import State

_LAYOUT = 2
_CURVES = ("test_losses", "test_accuracies", "valid_losses", "valid_accuracies")


class Ending(NamedTuple):
    """How a run ended: all that tables of results show of it.

    Attributes:
        status: "completed" or "diverged".
        last: The last value of each curve that the run has, by its name in the record.
    """

    status: str
    last: dict[str, float | None]

    @classmethod
    def of(cls, record: RunRecord) -> Ending:
        """Take it from a record."""
        curves = {name: getattr(record, name) for name in _CURVES}
        return cls(record.status, {name: curve[-1] for name, curve in curves.items() if curve})


class Known(NamedTuple):
    """The latest result of a run.

    Attributes:
        file: Its path below the directory of results.
        state: See `deepobs.result_states`.
        ending: How the run ended; `None` if the file was not read.
    """

    file: str
    state: State
    ending: Ending | None = None


class KeptResults:
    """The latest results of runs, kept in the user's cache from one command to the next.

    Whether a result is still what it was is found out once, when it is first asked for.

    Args:
        output_dir: The directory of results.
    """

    def __init__(self, output_dir: Path) -> None:
        directory = output_dir.resolve()
        self._root = str(directory)
        name = hashlib.sha256(bytes(directory)).hexdigest()[:32]
        self._path = config.get_cache_dir() / "sweeps" / f"{name}.txt"
        # Of another version, files may be called otherwise.
        self._written_for = json.dumps([_LAYOUT, __version__, self._root])
        # As text, since objects for tens of thousands of results would take ten times the memory.
        self._lines: dict[str, str] = {}
        self._looked_at: set[str] = set()
        self._is_changed = False
        with (
            contextlib.suppress(OSError, ValueError),
            self._path.open(encoding="utf-8", newline="\n") as stream,
        ):
            if next(stream, "").rstrip("\n") == self._written_for:
                parts = (line.rstrip("\n").partition("\t") for line in stream)
                self._lines = {run_id: known for run_id, _, known in parts}

    def look_again(self) -> None:
        """From now on, find out again whether results are what they were."""
        self._looked_at.clear()

    def find(self, run_id: str) -> Known | None:
        """The latest result of a run, if it is known and still the same."""
        line = self._lines.get(run_id)
        if line is None:
            return None
        try:
            file, changed, size, of_directory, ending = line.split("\t")
            state = [int(changed), int(size), int(of_directory)]
            known = Known(file, state, Ending(*json.loads(ending)) if ending else None)
        except (ValueError, TypeError):  # whoever can write to the cache could break it
            known = None
        if known is not None and run_id in self._looked_at:
            return known
        if known is not None and is_same(f"{self._root}/{known.file}", known.state):
            self._looked_at.add(run_id)
            return known
        del self._lines[run_id]
        return None

    def add(self, run_id: str, known: Known) -> None:
        """Keep the latest result of a run, of which the state was just found out."""
        ending = "" if known.ending is None else json.dumps(known.ending)
        changed, size, of_directory = known.state
        # Names that others gave to files may hold anything.
        if known.file.isprintable():
            self._lines[run_id] = f"{known.file}\t{changed}\t{size}\t{of_directory}\t{ending}"
            self._looked_at.add(run_id)
            self._is_changed = True

    def write(self) -> None:
        """Write what has changed, for the next command."""
        if self._is_changed:
            caches.remove_old(self._path.parent)
            caches.write(self._path, self._fill)
            self._is_changed = False

    def _fill(self, stream: IO[bytes]) -> None:
        lines = (f"{run_id}\t{line}\n" for run_id, line in self._lines.items())
        stream.write(f"{self._written_for}\n".encode())
        stream.writelines(line.encode() for line in lines)
