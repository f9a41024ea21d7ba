"""What is known of the results in a directory, so that only changed ones are looked at again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from deepobs import caches, config
from deepobs.result_states import is_same, state_of
from deepobs_bench import __version__

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from deepobs.records import RunRecord
    from deepobs.result_states import State

_LAYOUT = 1
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
        self._is_changed = False
        with (
            contextlib.suppress(OSError, ValueError),
            self._path.open(encoding="utf-8") as stream,
        ):
            if next(stream, "").rstrip("\n") == self._written_for:
                parts = (line.rstrip("\n").partition("\t") for line in stream)
                self._lines = {run_id: known for run_id, _, known in parts}

    def find(self, run_id: str) -> Known | None:
        """The latest result of a run, if it is known and still the same."""
        line = self._lines.get(run_id)
        if line is None:
            return None
        with contextlib.suppress(ValueError, TypeError):
            file, state, ending = json.loads(line)
            if is_same(f"{self._root}/{file}", state):
                return Known(file, state, None if ending is None else Ending(*ending))
        del self._lines[run_id]
        return None

    def add(self, run_id: str, file: str, of_directory: int) -> None:
        """Keep the latest result of a run.

        Args:
            run_id: The run.
            file: The path of its result, below the directory of results.
            of_directory: The time of the directory from before it was listed.
        """
        with contextlib.suppress(OSError):
            self._set(run_id, Known(file, state_of(f"{self._root}/{file}", of_directory)))

    def set_ending(self, run_id: str, ending: Ending) -> None:
        """Keep how a run ended, too, if its result is known."""
        if (known := self.find(run_id)) is not None:
            self._set(run_id, known._replace(ending=ending))

    def _set(self, run_id: str, known: Known) -> None:
        self._lines[run_id] = json.dumps(known)
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
