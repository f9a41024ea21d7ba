"""Which of thousands of runs have results, found without reading whole result files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from deepobs.result_states import time_of_directory
from deepobs.runs.store import RESULT, configuration_path, forms_of, read
from deepobs_bench.kept_results import Ending, KeptResults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deepobs.result_states import State
    from deepobs.run_specifications import RunSpecification

_RUN_ID = re.compile(rb'"run_id":\s*"([0-9a-f]+)"')
_HEAD_BYTES = 256  # the identity is in the second line
_TAIL_BYTES = 8
_END = b"\n}"  # only the outermost brace is at the beginning of a line


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
    _configurations_in: dict[str, set[str]] = field(default_factory=dict)
    _results_in: dict[str, dict[str, str]] = field(default_factory=dict)
    _times: dict[str, int] = field(default_factory=dict)

    def find(self, specification: RunSpecification) -> Path | None:
        """The latest result of a run; `None` if there is none."""
        path = self.path_of(specification)
        return None if path is None else Path(path)

    def path_of(self, specification: RunSpecification) -> str | None:
        """The same as text: objects would take a large part of the time for thousands of runs."""
        if self.kept is not None and (known := self.kept.find(specification.run_id)):
            return f"{self.output_dir}/{known.file}"
        for form, wanted in forms_of(specification):
            directory = configuration_path(form)
            name = self._results_of(directory).get(wanted)
            if name is not None:
                # In the directory of an earlier form it is the latest while there is no other.
                if self.kept is not None and form is specification:
                    self.kept.add(wanted, f"{directory}/{name}", self._times[directory])
                return f"{self.output_dir}/{directory}/{name}"
        return None

    def ending_of(self, specification: RunSpecification) -> Ending | None:
        """How a run ended; `None` if it has no result that can be read."""
        run_id = specification.run_id
        known = None if self.kept is None else self.kept.find(run_id)
        if known is not None and known.ending is not None:
            return known.ending
        path = self.path_of(specification)
        if path is None:
            return None
        try:
            ending = Ending.of(read(Path(path)))
        except (ValidationError, OSError):  # broken after all, or deleted
            return None
        if self.kept is not None:
            self.kept.set_ending(run_id, ending)
        return ending

    def _results_of(self, directory: str) -> dict[str, str]:
        """The names of the latest result files in a directory, by run."""
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

    def _read(self, directory: str) -> dict[str, str]:
        path = f"{self.output_dir}/{directory}"
        if self.kept is not None:
            self._times[directory] = time_of_directory(path)
        # The time is part of the name: a later result replaces an earlier one.
        names = sorted(name for name in _names_in(path) if name.endswith(f".{RESULT}"))
        found = ((_run_id(f"{path}/{name}"), name) for name in names)
        return {run_id: name for run_id, name in found if run_id is not None}


def known_results(
    specifications: Iterable[RunSpecification], output_dir: Path
) -> Iterator[tuple[str, State]]:
    """The latest result files of runs, and their states; empty where they cannot be told."""
    kept = KeptResults(output_dir)
    index = ResultIndex(output_dir, kept)
    for specification in specifications:
        index.path_of(specification)
        known = kept.find(specification.run_id)
        yield (f"{output_dir}/{known.file}", known.state) if known else ("", [])
    kept.write()


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208
    except OSError:  # most often because it does not exist
        return []


def _run_id(path: str) -> str | None:
    """The run of a result file; `None` for files that are damaged, or no results."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        head = os.read(file, _HEAD_BYTES)
        tail = os.pread(file, _TAIL_BYTES, max(0, os.fstat(file).st_size - _TAIL_BYTES))
    except OSError:
        return None
    finally:
        os.close(file)
    found = _RUN_ID.search(head)
    return found[1].decode() if found and tail.rstrip().endswith(_END) else None
