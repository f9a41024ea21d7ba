"""Which of thousands of runs have results, found without reading whole result files."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepobs.runs.store import RESULT, configuration_directory, forms_of

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.records import RunSpecification

_RUN_ID = re.compile(rb'"run_id":\s*"([0-9a-f]+)"')
_HEAD_BYTES = 256  # the identity is in the second line
_TAIL_BYTES = 8
_END = b"\n}"  # only the outermost brace is at the beginning of a line


@dataclass
class ResultIndex:
    """The results in a directory, each configuration's as of when it was first asked for.

    Only both ends of each file are read: the beginning holds the identity of the run, and the end
    shows that the file is complete. Parsing thousands of results would take minutes.

    Attributes:
        output_dir: The directory of results.
    """

    output_dir: Path
    _results_in: dict[Path, dict[str, Path]] = field(default_factory=dict)

    def find(self, specification: RunSpecification) -> Path | None:
        """The latest result of a run; `None` if there is none."""
        for form, wanted in forms_of(specification):
            directory = configuration_directory(self.output_dir, form)
            if directory not in self._results_in:
                results = self._results_in[directory] = {}
                names: list[str] = []
                with contextlib.suppress(OSError):  # most often because it does not exist
                    names = os.listdir(directory)  # noqa: PTH208 # paths of 10000 files take a second
                # The time is part of the name: a later result replaces an earlier one.
                for name in sorted(names):
                    path = directory / name
                    run_id = _run_id(path) if name.endswith(f".{RESULT}") else None
                    if run_id is not None:
                        results[run_id] = path
            if wanted in self._results_in[directory]:
                return self._results_in[directory][wanted]
        return None


def _run_id(path: Path) -> str | None:
    """The run of a result file; `None` for files that are damaged, or no results."""
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(_HEAD_BYTES)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            is_complete = file.read().rstrip().endswith(_END)
    except OSError:
        return None
    found = _RUN_ID.search(head)
    return found[1].decode() if found and is_complete else None
