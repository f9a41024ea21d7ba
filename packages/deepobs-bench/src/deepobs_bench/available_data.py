"""Which data sets an experiment needs that are not there yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs import config
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepobs.data.base import DataStatus
    from deepobs.records import RunSpecification


def missing_data(specifications: Iterable[RunSpecification]) -> dict[str, str]:
    """Find the problems whose data are missing.

    Args:
        specifications: Runs; those on synthetic data need none.

    Returns:
        The names of data sets by the names of the problems. Nothing is said about data sets that
        cannot tell: their runs will.
    """
    real = {each.testproblem: None for each in specifications if not each.fake_data_fraction}
    datasets = {problem: registry().problems.spec(problem).dataset for problem in real}
    absent = {name for name in set(datasets.values()) if _is_missing(name)}
    return {problem: name for problem, name in datasets.items() if name in absent}


def _is_missing(dataset: str) -> bool:
    try:
        status: DataStatus = registry().datasets.load(dataset).status(config.get_data_dir())
    except Exception:  # a stranger's data set need not have it, or it raises what it likes
        return False
    return status.state == "missing"
