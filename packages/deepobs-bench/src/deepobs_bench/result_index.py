"""Which of thousands of runs have results, found without reading whole result files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from deepobs.result_states import time_of_directory
from deepobs.runs.store import RESULT, configuration_path, forms_of, path_frame, read
from deepobs_bench.kept_results import Ending, KeptResults, Known

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deepobs.result_states import State
    from deepobs.run_specifications import RunSpecification
    from deepobs.runs.store import PathFrame

_RUN_ID = re.compile(rb'"run_id":\s*"([0-9a-f]+)"')
_SUFFIX = f".{RESULT}"
_HEAD_BYTES = 256  # the identity is in the second line
_TAIL_BYTES = 8
_END = b"\n}"  # only the outermost brace is at the beginning of a line


class _Result(NamedTuple):
    """A result file in the directory of a configuration: its name, last change and size."""

    name: str
    changed: int
    size: int


@dataclass
class ResultIndex:
    """The results in a directory, each part of it as of when it was first asked for.

    Only both ends of each file are read: the beginning holds the identity of the run, and the end
    shows that the file is complete. Parsing thousands of results would take minutes.

    Attributes:
        output_dir: The directory of results.
        kept: What earlier commands found, if that is wanted.
    """

    output_dir: Path
    kept: KeptResults | None = None
    _frames: dict[int, tuple[object, PathFrame]] = field(default_factory=dict)
    _configurations_in: dict[str, set[str]] = field(default_factory=dict)
    _results_in: dict[str, dict[str, _Result]] = field(default_factory=dict)
    _times: dict[str, int] = field(default_factory=dict)

    @classmethod
    def with_kept(cls, output_dir: Path) -> ResultIndex:
        """An index that uses, and adds to, what earlier commands found."""
        return cls(output_dir, KeptResults(output_dir))

    def look_again(self) -> None:
        """Take every part of the directory as of when it is next asked for."""
        if self.kept is not None:
            self.kept.look_again()
        for found in (self._configurations_in, self._results_in, self._times):
            found.clear()

    def write(self) -> None:
        """Keep what was found for the next command."""
        if self.kept is not None:
            self.kept.write()

    def find(self, specification: RunSpecification) -> Path | None:
        """The latest result of a run; `None` if there is none."""
        path = self.path_of(specification)
        return None if path is None else Path(path)

    def path_of(self, specification: RunSpecification) -> str | None:
        """The same as text: objects would take a large part of the time for thousands of runs."""
        if self.kept is not None and (known := self.kept.find(specification.run_id)):
            return f"{self.output_dir}/{known.file}"
        for form, wanted in forms_of(specification):
            directory = configuration_path(form, self._frame_of(form))
            found = self._results_of(directory).get(wanted)
            if found is not None:
                file = f"{directory}/{found.name}"
                # In the directory of an earlier form it is the latest while there is no other.
                if self.kept is not None and form is specification:
                    state = [found.changed, found.size, self._times[directory]]
                    self.kept.add(wanted, Known(file, state))
                return f"{self.output_dir}/{file}"
        return None

    def ending_of(self, specification: RunSpecification) -> Ending | None:
        """How a run ended; `None` if it has no result that can be read."""
        run_id = specification.run_id
        path = self.path_of(specification)
        if path is None:
            return None
        known = None if self.kept is None else self.kept.find(run_id)
        if known is not None and known.ending is not None:
            return known.ending
        try:
            ending = Ending.of(read(Path(path)))
        except (ValidationError, OSError):  # broken after all, or deleted
            return None
        # With the state from before: if the file has changed since, it will be read again.
        if self.kept is not None and known is not None:
            self.kept.add(run_id, known._replace(ending=ending))
        return ending

    def states_of(self, specifications: Iterable[RunSpecification]) -> Iterator[tuple[str, State]]:
        """The latest result files of runs, and their states; empty where they cannot be told."""
        for specification in specifications:
            self.path_of(specification)
            known = None if self.kept is None else self.kept.find(specification.run_id)
            yield (f"{self.output_dir}/{known.file}", known.state) if known else ("", [])

    def _frame_of(self, specification: RunSpecification) -> PathFrame | None:
        family = specification.family
        if family is None:
            return None
        # By the object, which therefore must stay: equal ones can be of different directories.
        if id(family) not in self._frames:
            self._frames[id(family)] = family, path_frame(specification)
        return self._frames[id(family)][1]

    def _results_of(self, directory: str) -> dict[str, _Result]:
        """The latest result files in a directory, by run."""
        found = self._results_in.get(directory)
        if found is None:
            # One listing of all configurations of an optimizer, in place of a look for each.
            parent, _, configuration = directory.rpartition("/")
            if parent not in self._configurations_in:
                self._configurations_in[parent] = set(_names_in(f"{self.output_dir}/{parent}"))
            if configuration not in self._configurations_in[parent]:
                return {}
            found = self._results_in[directory] = self._read(directory)
        return found

    def _read(self, directory: str) -> dict[str, _Result]:
        path = f"{self.output_dir}/{directory}"
        if self.kept is not None:
            self._times[directory] = time_of_directory(path)
        results = {}
        # The time is part of the name: a later result replaces an earlier one.
        for name in sorted(_names_in(path)):
            if name.endswith(_SUFFIX) and (found := _read_ends(f"{path}/{name}")):
                run_id, status = found
                results[run_id] = _Result(name, status.st_mtime_ns, status.st_size)
        return results


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208
    except OSError:  # most often because it does not exist
        return []


def _read_ends(path: str) -> tuple[str, os.stat_result] | None:
    """The run of a result file, and its status; `None` for files that are damaged, or no results.

    The status is of before it was read, so that a change since then will be noticed.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        status = os.fstat(file)
        head = os.read(file, _HEAD_BYTES)
        tail = os.pread(file, _TAIL_BYTES, max(0, status.st_size - _TAIL_BYTES))
    except OSError:
        return None
    finally:
        os.close(file)
    found = _RUN_ID.search(head)
    return (found[1].decode(), status) if found and tail.rstrip().endswith(_END) else None
