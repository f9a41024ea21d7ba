"""The pace of runs: steps and evaluations, timed as runs execute them."""

from __future__ import annotations

import functools
import itertools
import math
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch

from deepobs.data.base import part_of
from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.runs import environment
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.evaluation import Evaluator, evaluated_loaders, mean_loss_and_accuracy
from deepobs.runs.running_statistics import layers_with_statistics
from deepobs.runs.training import STEPS_BETWEEN_REPORTS, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from deepobs.protocols import Batch, DataSet, Loader, TestProblem
    from deepobs.run_specifications import RunSpecification

    Work = Callable[[int], object]
    """Executes a number of units of work, such as steps or batches."""

SHARE_OF_EVALUATION = 0.2
"""The part of the time of a measurement that evaluations get."""

_BLOCK_SECONDS = 0.1  # so short that a machine that drifts drifts for all rivals
_WARM_UP_UNITS = 3
_MIN_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds that something takes.

    Attributes:
        seconds: The expected time.
        low: The time if all of it goes as fast as the fastest part that was measured.
        high: The same for the slowest part.
    """

    seconds: float
    low: float
    high: float

    @classmethod
    def of(cls, measured: Iterable[float]) -> Self:
        """Summarize one or more measured times."""
        values = list(measured)
        return cls(statistics.fmean(values), min(values), max(values))

    def __add__(self, other: Span) -> Span:
        # What makes one part slow, such as another program, makes the others slow as well.
        return Span(self.seconds + other.seconds, self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> Span:
        return Span(self.seconds * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run is.

    Attributes:
        epoch: The training steps of an epoch.
        evaluation: An evaluation of all splits.
        set_up: Loading the data and building the model and the optimizer.
        steps_per_epoch: Steps of a pass over the training set.
    """

    epoch: Span
    evaluation: Span
    set_up: Span
    steps_per_epoch: int

    def of_run(self, specification: RunSpecification) -> Span:
        """The time of a whole run."""
        evaluations = len(specification.evaluation_steps(self.steps_per_epoch))
        steps = specification.steps_in_all(self.steps_per_epoch)
        training = self.epoch * (steps / max(self.steps_per_epoch, 1))
        return self.set_up + training + self.evaluation * evaluations


def pace_of(specification: RunSpecification, *, seconds: float, has_data: bool = True) -> Pace:
    """Measure how fast a run is on its data.

    Args:
        specification: The run.
        seconds: Duration of the measurement; a few steps and batches are measured in any case.
        has_data: Whether its data are there. Otherwise a few synthetic batches stand in, and the
            times of epochs and evaluations are scaled to the real size.
    """
    if has_data:
        return _pace_on(specification, specification, seconds)
    try:
        return _pace_on(of_few_batches(specification, 2), specification, seconds)
    except ArgumentError:  # no sequence fits into so few characters
        return _pace_on(of_few_batches(specification, 200), specification, seconds)


def of_few_batches(specification: RunSpecification, batches: int) -> RunSpecification:
    """The same run on synthetic data."""
    problem = registry().problems.offer(specification.testproblem).spec
    data = registry().datasets.offer(problem.dataset).spec
    held_out = specification.validation_size
    smallest = min(data.train_size, data.test_size, held_out or data.test_size)
    fraction = min(1.0, batches * specification.batch_size / smallest)
    changes = {
        "fake_data_fraction": fraction,
        "validation_size": math.ceil(fraction * held_out),
    }
    return specification.model_copy(update=changes)


def _pace_on(measured: RunSpecification, whole: RunSpecification, seconds: float) -> Pace:
    """Measure a run, which may have fewer examples than the whole one."""
    device = torch.device(measured.device)
    with environment.reproducible(measured):
        problem, optimizer, set_up_seconds = timed_set_up(measured)
        lengths = {split: len(loader) for split, loader in loaders_of(problem.dataset).items()}
        if measured is not whole:
            lengths = full_lengths(problem.dataset, whole)
        lengths = with_recalibration(lengths, measured, problem)
        for_evaluation = SHARE_OF_EVALUATION * seconds
        splits = _evaluation_rounds(problem, seconds=for_evaluation, device=device)
        evaluation = [Span.of(taken) * lengths[split] for split, taken in splits.items()]
        needs = measured.optimizer_needs
        trainer = Trainer(problem, optimizer, needs=needs, specification=measured)
        steps = work_on(problem.dataset.train_loader, trainer.take_steps)
        with trainer.training():
            _, rounds = time_in_turn([steps], seconds=seconds - for_evaluation, device=device)
        return Pace(
            epoch=Span.of(taken for (taken,) in rounds) * lengths["train"],
            evaluation=sum(evaluation, Span.of([0.0])),
            set_up=Span.of([set_up_seconds]),
            steps_per_epoch=lengths["train"],
        )


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
    splits = _evaluation_rounds(problem, seconds=seconds, device=device)
    return sum(lengths[split] * statistics.fmean(taken) for split, taken in splits.items())


def _evaluation_rounds(
    problem: TestProblem, *, seconds: float, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of a batch, of every round that was timed, by split."""
    loaders = evaluated_loaders(problem.dataset)
    evaluator = Evaluator(problem)
    splits = {}
    with evaluator.evaluating():
        for name, loader in loaders.items():
            if evaluator.takes_groups:
                work, batches = _repeated(evaluator.measure_split, name, loader), len(loader)
            else:  # a batch of which may take as long as there is time
                evaluate = functools.partial(mean_loss_and_accuracy, problem)
                work, batches = work_on(loader, evaluate), 1
            _, rounds = time_in_turn([work], seconds=seconds / len(loaders), device=device)
            split = "train_eval" if name == "train" else name
            splits[split] = [taken / batches for (taken,) in rounds]
    return splits


def _repeated(function: Callable[..., object], *arguments: object) -> Work:
    return lambda units: [function(*arguments) for _ in range(units)]


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


def full_lengths(dataset: DataSet, specification: RunSpecification) -> dict[str, int]:
    """The number of batches that a pass over each split of the real data has.

    Args:
        dataset: The data set of the run; a synthetic one may be a fraction of the real size.
        specification: The run.
    """
    lengths = {name: len(loader) for name, loader in loaders_of(dataset).items()}
    sizes: dict[str, int] = getattr(dataset, "split_sizes", {})
    # Other packages' data sets need not state their sizes: then only their loaders tell.
    if not getattr(dataset, "is_fake", False) or not lengths.keys() <= sizes.keys():
        return lengths
    full_sizes = _full_sizes(dataset, specification, sizes)
    return {
        name: _scaled(length, sizes[name], full_sizes[name], specification.batch_size)
        for name, length in lengths.items()
    }


def with_recalibration(
    lengths: dict[str, int], specification: RunSpecification, problem: TestProblem
) -> dict[str, int]:
    """Count the forward passes that recalibrate batch normalization among those of evaluation.

    Args:
        lengths: The number of batches of each split.
        specification: The run.
        problem: Its problem, set up.
    """
    batches = min(specification.bn_recalibration, lengths["train"])
    if not batches or not layers_with_statistics(problem.model):
        return lengths
    return {**lengths, "train_eval": lengths["train_eval"] + batches}


def _full_sizes(
    dataset: DataSet, specification: RunSpecification, sizes: dict[str, int]
) -> dict[str, int]:
    """Examples of each split of the real data."""
    # Synthetic data are of a class derived from ours, which has its description.
    spec: Any = getattr(dataset, "spec", None)
    if spec is None:
        problem = registry().problems.offer(specification.testproblem).spec
        spec = registry().datasets.offer(problem.dataset).spec
    left = spec.train_size - specification.validation_size
    train = part_of(left, specification.train_fraction)
    proportional = round(sizes["train_eval"] * train / sizes["train"])
    return {
        "train": train,
        "train_eval": min(getattr(dataset, "train_eval_size", proportional), train),
        "valid": specification.validation_size,
        "test": spec.test_size,
    }


def _scaled(length: int, size: int, full_size: int, batch_size: int) -> int:
    """Batches of a split at full size, without its last, smaller batch if it was without before."""
    if size == full_size:
        return length
    if length == size // batch_size:
        return full_size // batch_size
    if length == -(-size // batch_size):
        return -(-full_size // batch_size)
    # Batches of something else than examples, such as characters.
    return round(length * full_size / size)


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
