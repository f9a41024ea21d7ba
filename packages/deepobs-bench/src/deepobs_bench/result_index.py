"""Which of thousands of runs have results, found without reading whole result files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deepobs.runs.store import RESULT, configuration_path, forms_of

if TYPE_CHECKING:
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
    """

    output_dir: Path
    _configurations_in: dict[str, set[str]] = field(default_factory=dict)
    _results_in: dict[str, dict[str, str]] = field(default_factory=dict)

    def find(self, specification: RunSpecification) -> Path | None:
        """The latest result of a run; `None` if there is none."""
        path = self.path_of(specification)
        return None if path is None else Path(path)

    def path_of(self, specification: RunSpecification) -> str | None:
        """The same as text: objects would take a large part of the time for thousands of runs."""
        for form, wanted in forms_of(specification):
            directory = configuration_path(form)
            if directory not in self._results_in:
                self._results_in[directory] = self._read(directory)
            name = self._results_in[directory].get(wanted)
            if name is not None:
                return f"{self.output_dir}/{directory}/{name}"
        return None

    def _read(self, directory: str) -> dict[str, str]:
        """The names of the latest result files in a directory, by run."""
        # One listing of all configurations of an optimizer, in place of a look for each of them.
        parent, _, configuration = directory.rpartition("/")
        if parent not in self._configurations_in:
            self._configurations_in[parent] = set(_names_in(f"{self.output_dir}/{parent}"))
        if configuration not in self._configurations_in[parent]:
            return {}
        path = f"{self.output_dir}/{directory}"
        # The time is part of the name: a later result replaces an earlier one.
        names = sorted(name for name in _names_in(path) if name.endswith(f".{RESULT}"))
        found = ((_run_id(f"{path}/{name}"), name) for name in names)
        return {run_id: name for run_id, name in found if run_id is not None}


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
