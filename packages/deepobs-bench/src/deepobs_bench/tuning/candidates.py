"""Candidates: suggested values of hyperparameters, turned into runs or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError
from deepobs.runs import specify
from deepobs_bench.tuning.searched_names import with_values, without_values
from deepobs_bench.tuning.spaces import PROBLEM_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepobs.run_specifications import RunSpecification
    from deepobs_bench.tuning.searched_names import Base


_NOT_SHARED = {
    *("testproblem", "optimizer", "optimizer_target", "hyperparameters"),  # stated elsewhere
    *("random_seed", "device", "train_log_interval", "label"),
}


@dataclass(frozen=True)
class Candidate:
    """A suggested configuration: its runs, or why the optimizer refused it."""

    setting: dict[str, Any]
    specifications: tuple[RunSpecification, ...] = ()
    refusal: str = ""


def candidate(base: Base, setting: dict[str, Any], seeds: Iterable[int]) -> Candidate:
    """Describe the runs of a configuration, one for each seed."""
    try:
        hyperparameters, options = with_values(base, setting)
        # Checked once: the seeds of a configuration are all accepted, or none.
        first = specify(base.testproblem, base.optimizer, hyperparameters, **options)
    # No error of the tuning: a sampler can draw values that exclude each other, such as Nesterov
    # momentum without momentum.
    except ArgumentError as error:
        return Candidate(setting, refusal=str(error))
    runs = tuple(first.model_copy(update={"random_seed": seed}) for seed in seeds)
    return Candidate(setting, runs)


def common_parts(example: RunSpecification, base: Base, space: Iterable[str]) -> dict[str, Any]:
    """What the runs of all trials share.

    Args:
        example: One of them.
        base: What was given for all of them.
        space: Names of what is tuned.
    """
    names = list(space)
    tuned = {PROBLEM_OPTIONS[name] for name in names if name in PROBLEM_OPTIONS}
    # Without defaults: the identity of the tuning would change with every new option of runs.
    shared = example.model_dump(mode="json", exclude=_NOT_SHARED | tuned, exclude_defaults=True)
    return without_values(base, shared, names)
