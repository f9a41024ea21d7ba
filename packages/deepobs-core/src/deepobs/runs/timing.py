"""The pace of runs: steps and evaluations, timed as runs execute them."""

from __future__ import annotations

import functools
import itertools
import statistics
import time
from typing import TYPE_CHECKING

import torch

from deepobs.runs import environment
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.evaluation import evaluating, mean_loss_and_accuracy
from deepobs.runs.training import STEPS_BETWEEN_REPORTS, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from deepobs.protocols import Batch, DataSet, Loader, TestProblem
    from deepobs.records import RunSpecification

    Work = Callable[[int], object]
    """Executes a number of units of work, such as steps or batches."""

SHARE_OF_EVALUATION = 0.2
"""The part of the time of a measurement that evaluations get."""

_BLOCK_SECONDS = 0.1  # so short that a machine that drifts drifts for all rivals
_WARM_UP_UNITS = 3
_MIN_ROUNDS = 2


def pace_of(specification: RunSpecification, *, seconds: float) -> tuple[float, float]:
    """Measure how fast a run is on its data.

    Args:
        specification: The run.
        seconds: Duration of the measurement; a few steps and batches are measured in any case.

    Returns:
        Seconds of an epoch with the evaluation after it, and seconds before the first epoch.
    """
    device = torch.device(specification.device)
    with environment.reproducible(specification):
        problem, optimizer, set_up_seconds = timed_set_up(specification)
        lengths = {split: len(loader) for split, loader in loaders_of(problem.dataset).items()}
        for_evaluation = SHARE_OF_EVALUATION * seconds
        evaluation = evaluation_seconds(problem, lengths, seconds=for_evaluation, device=device)
        trainer = Trainer(problem, optimizer, needs=specification.optimizer_needs)
        steps = work_on(problem.dataset.train_loader, trainer.take_steps)
        with trainer.training():
            _, rounds = time_in_turn([steps], seconds=seconds - for_evaluation, device=device)
        epoch = lengths["train"] * statistics.fmean(taken for (taken,) in rounds) + evaluation
        return epoch, set_up_seconds + evaluation


def timed_set_up(
    specification: RunSpecification, optimizer_class: type[torch.optim.Optimizer] | None = None
) -> tuple[TestProblem, torch.optim.Optimizer, float]:
    """Load the data and build the model and the optimizer, and say how many seconds that took."""
    start = time.perf_counter()
    problem = set_up_problem(specification)
    optimizer = build_optimizer(specification, problem, optimizer_class)
    _synchronize(torch.device(specification.device))
    return problem, optimizer, time.perf_counter() - start


def evaluation_seconds(
    problem: TestProblem, lengths: Mapping[str, int], *, seconds: float, device: torch.device
) -> float:
    """The time of an evaluation, from some batches of each split.

    Args:
        problem: A problem after `set_up`.
        lengths: The number of batches of each split in that evaluation.
        seconds: Duration of the measurement.
        device: Where the model is.
    """
    loaders = loaders_of(problem.dataset)
    del loaders["train"]
    evaluate = functools.partial(mean_loss_and_accuracy, problem)
    total = 0.0
    with evaluating(problem):
        for split, loader in loaders.items():
            work = work_on(loader, evaluate)
            _, rounds = time_in_turn([work], seconds=seconds / len(loaders), device=device)
            total += lengths[split] * statistics.fmean(taken for (taken,) in rounds)
    return total


def time_in_turn(
    rivals: Sequence[Work], *, seconds: float, device: torch.device
) -> tuple[int, list[tuple[float, ...]]]:
    """Time rivals block by block, in the order A B, B A, A B, ... so that none is favored.

    Args:
        rivals: The work to time; each is called a few times before, so that allocators and kernels
            settle.
        seconds: No further round starts after so much time; a few units are always timed.
        device: Where the work is done.

    Returns:
        Units of work of each rival that were timed, and seconds per unit, of every round and rival.
    """
    deadline = time.perf_counter() + seconds
    slowest = 0.0
    for rival in rivals:
        warm_up = [seconds_of(rival, 1, device)]
        # What is slow has settled after the first unit, and more may not fit into the time.
        while len(warm_up) < _WARM_UP_UNITS and time.perf_counter() <= deadline:
            warm_up.append(seconds_of(rival, 1, device))
        slowest = max(slowest, min(warm_up))
    # A block waits for the device once, at its end, as runs do: no more often, and no less.
    units = min(max(1, round(_BLOCK_SECONDS / slowest)), STEPS_BETWEEN_REPORTS)
    rounds: list[tuple[float, ...]] = []
    while len(rounds) < _MIN_ROUNDS or time.perf_counter() < deadline:
        taken = [0.0] * len(rivals)
        positions = range(len(rivals))
        for position in reversed(positions) if len(rounds) % 2 else positions:
            taken[position] = seconds_of(rivals[position], units, device) / units
        rounds.append(tuple(taken))
    return units * len(rounds), rounds


def seconds_of(work: Work, units: int, device: torch.device) -> float:
    """Time a number of units, until the device has completed them."""
    _synchronize(device)
    start = time.perf_counter()
    work(units)
    _synchronize(device)
    return time.perf_counter() - start


def work_on(loader: Iterable[Batch], consume: Callable[[Iterator[Batch]], object]) -> Work:
    """Work of which a unit is to consume a batch, of one pass after the other."""
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    return lambda units: consume(itertools.islice(batches, units))


def loaders_of(dataset: DataSet) -> dict[str, Loader]:
    """The loaders of the splits that a data set has, by the name of the split."""
    loaders = {
        "train": dataset.train_loader,
        "train_eval": dataset.train_eval_loader,
        "valid": dataset.valid_loader,
        "test": dataset.test_loader,
    }
    return {name: loader for name, loader in loaders.items() if loader is not None}


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
