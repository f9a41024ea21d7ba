"""Options of a run that its problem accepts but ignores: found before training.

Constructors that swallow what they do not know, and problems that do not pass on what they take,
would otherwise give results that say one thing and are another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from deepobs import rng
from deepobs.data.base import BaseDataSet
from deepobs.errors import ArgumentError
from deepobs.plugins.provenance import described
from deepobs.run_specifications import usual_recalibration
from deepobs.runs.evaluation import weight_of
from deepobs.runs.run_state import loader_state, set_loader_state
from deepobs.runs.running_statistics import layers_with_statistics

if TYPE_CHECKING:
    from deepobs.protocols import Loader, TestProblem
    from deepobs.run_specifications import RunSpecification


def refuse_ignored_options(specification: RunSpecification, problem: TestProblem) -> None:
    """Refuse a run whose data set or evaluation would not be what its options ask for.

    Args:
        specification: The run.
        problem: Its problem, set up.

    Raises:
        ArgumentError: An option was ignored.
    """
    batches = specification.bn_recalibration
    # What averaged weights get by default is not asked for.
    is_asked_for = batches != usual_recalibration(specification.optimizer_needs)
    if batches and is_asked_for and not layers_with_statistics(problem.model):
        raise ArgumentError(
            f"{described(problem)} has no batch normalization, so "
            f"bn_recalibration={batches} has nothing to recalibrate. Leave it out."
        )
    dataset: Any = problem.dataset
    sizes: dict[str, int] = getattr(dataset, "split_sizes", {})
    wanted = specification.validation_size
    if wanted and dataset.valid_loader is None:
        raise _ignored(problem, f"validation_size={wanted}", "has no valid_loader")
    if isinstance(dataset, BaseDataSet):
        return
    # Counted, for data sets that state no sizes: a split that is always there has another one.
    if wanted:
        count, batch = _counted(problem, dataset.valid_loader)
        held_out = sizes.get("valid", count)
        if held_out > wanted or max(held_out, count) <= wanted - batch:
            how = f"holds out {held_out} examples"
            raise _ignored(problem, f"validation_size={wanted}", how)
    if specification.full_evaluation and "test" in sizes:
        count, _ = _counted(problem, dataset.test_loader)
        if count < sizes["test"]:
            how = f"evaluates {count} of the {sizes['test']} test examples"
            raise _ignored(problem, "full_evaluation=True", how)
    trained = sizes.get("train", 0)
    if specification.train_fraction != 1 and trained + sizes.get("valid", 0) == _whole(problem):
        how = f"trains on {trained} examples"
        raise _ignored(problem, f"train_fraction={specification.train_fraction}", how)
    if not specification.reshuffle and not _repeats_its_order(dataset.train_loader):
        raise _ignored(problem, "reshuffle=False", "has another order in every pass")


def _ignored(problem: TestProblem, option: str, how: str) -> ArgumentError:
    return ArgumentError(
        f"The data set {problem.dataset.name} ignores {option}: it {how}. Leave the option at its "
        f"default. {described(problem)} must pass it on, and the data set use it, to allow others."
    )


def _whole(problem: TestProblem) -> int:
    """Training examples that the description of the data set states; 0 if it has none."""
    spec: Any = getattr(problem.dataset, "spec", None)
    return int(getattr(spec, "train_size", 0))


def _counted(problem: TestProblem, loader: Loader) -> tuple[int, int]:
    """What evaluations of a split count, and that of its largest batch."""
    with rng.preserved():
        weights = [weight_of(problem)(batch) for batch in loader]
    return sum(weights), max(weights)


def _repeats_its_order(loader: Loader) -> bool:
    """Whether two passes begin with the same batch."""
    state = loader_state(loader)
    with rng.preserved():
        first, second = (next(iter(loader)) for _ in range(2))
    set_loader_state(loader, state)
    return all(map(torch.equal, first, second))
