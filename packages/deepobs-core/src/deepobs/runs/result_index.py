"""Which of many runs have a result, decided without reading the results."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from deepobs.runs import store

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.records import RunSpecification

_RUN_ID = re.compile(rb'"run_id":\s*"([0-9a-f]+)"')
_HEAD_BYTES = 256  # the identity stands in the second line
_TAIL_BYTES = 8
_END = b"\n}"  # only the outermost brace stands at the beginning of a line


class ResultIndex:
    """The results in a directory, each setting's as they were when it was first asked for.

    Of a file only the ends are read: the head says which run it is of, the end that it is whole.

    Args:
        output_dir: Where results are kept.
    """

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._results_in: dict[Path, dict[str, Path]] = {}

    def find(self, specification: RunSpecification) -> Path | None:
        """The result of a run, the latest if it was done again; `None` where there is none."""
        directory = store.setting_directory(self._output_dir, specification)
        results = self._results_in.get(directory)
        if results is None:
            results = self._results_in[directory] = _results_in(directory)
        return results.get(specification.run_id)


def _results_in(directory: Path) -> dict[str, Path]:
    """The latest result of every run whose files lie in a directory, by identity."""
    results = {}
    for name in sorted(_names(directory)):  # a later moment comes later, and stays
        path = directory / name
        run_id = _run_id(path)
        if run_id is not None:
            results[run_id] = path
    return results


def _names(directory: Path) -> list[str]:
    try:
        names = os.listdir(directory)  # noqa: PTH208 # paths of 10000 files take a second
    except OSError:  # most often because there is none
        return []
    return [name for name in names if name.endswith(f".{store.RESULT}")]


def _run_id(path: Path) -> str | None:
    """The run of a result file; `None` for files that are torn, or no results of ours."""
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(_HEAD_BYTES)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            is_whole = file.read().rstrip().endswith(_END)
    except OSError:
        return None
    found = _RUN_ID.search(head)
    return found[1].decode() if found and is_whole else None
