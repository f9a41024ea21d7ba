"""Which runs of a plan are there already."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepobs.runs.store import ResultIndex
from deepobs_bench.time_estimate import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from deepobs.records import RunSpecification
    from deepobs_bench.time_estimate import Kind


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is there and what is missing.

    Attributes:
        missing: The runs without a result, by `run_id`.
        found: Result files of the others, by the kind of run.
    """

    missing: dict[str, RunSpecification]
    found: dict[Kind, list[Path]]


def take_inventory(specifications: Iterable[RunSpecification], output_dir: Path) -> Inventory:
    """Look for the results of runs.

    Args:
        specifications: The runs.
        output_dir: Where results are kept; it need not be there.
    """
    index = ResultIndex(output_dir)
    missing: dict[str, RunSpecification] = {}
    found: dict[Kind, list[Path]] = defaultdict(list)
    for specification in specifications:
        path = index.find(specification)
        if path is None:
            missing[specification.run_id] = specification
        else:
            found[kind_of(specification)].append(path)
    return Inventory(missing, found)
