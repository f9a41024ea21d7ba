"""Estimates of the time and memory that a run takes, from a few steps of it."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import re
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from deepobs import checks
from deepobs.errors import ArgumentError
from deepobs.plugins import registry
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

__all__ = ["Estimate", "PeakMemory", "Spread", "estimate"]

DEFAULT_SECONDS = 10.0

_SHARE_OF_EVALUATION = 0.2
_BLOCK_SECONDS = 0.1  # so short that a machine that drifts drifts for all rivals
_WARM_UP_UNITS = 3
_MIN_ROUNDS = 2
_THIS_PROCESS = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Spread:
    """The mean of measured values, which adds up, and quartiles, which outliers do not move.

    Attributes:
        mean: The mean.
        median: Half of the values are below.
        low: A quarter of the values is below.
        high: A quarter of the values is above.
    """

    mean: float
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Summarize two or more values."""
        measured = list(values)
        low, median, high = statistics.quantiles(measured, n=4, method="inclusive")
        return cls(mean=statistics.fmean(measured), median=median, low=low, high=high)


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """Peaks in bytes.

    Attributes:
        process: The largest resident set of this process, Python and torch included; `None` if the
            system does not report it.
        device: The most memory of tensors on an accelerator; `None` on a CPU, and if the
            accelerator does not report it.
    """

    process: int | None
    device: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run will take, on the device and with the number of threads of the measurement.

    Attributes:
        specification: The run.
        step_seconds: A training step, with loading and augmentation of its batch.
        sgd_step_seconds: A step of SGD on the same problem.
        sgd_ratio: Time of a step of the optimizer over that of SGD; 1 for SGD itself.
        is_sgd: Whether the optimizer is plain SGD.
        timed_steps: The number of steps of the optimizer that were timed.
        gradient_evaluations_per_step: Gradients that the optimizer computed in a step, on average.
        steps_per_epoch: Steps of a pass over the training set of full size.
        evaluation_seconds: An evaluation of all splits of full size.
        set_up_seconds: Loading the data and building the model and the optimizer.
        peak_memory: The peak during the measurement.
        has_diverged: Whether an objective was not finite, which would have ended a run.
        fake_data: Whether the data were synthetic.
        hardware: The machine, as in result files.
    """

    specification: RunSpecification
    step_seconds: Spread
    sgd_step_seconds: Spread
    sgd_ratio: Spread
    is_sgd: bool
    timed_steps: int
    gradient_evaluations_per_step: float
    steps_per_epoch: int
    evaluation_seconds: float
    set_up_seconds: float
    peak_memory: PeakMemory
    has_diverged: bool
    fake_data: bool
    hardware: dict[str, Any]

    @property
    def epoch_seconds(self) -> float:
        """An epoch: its steps and the evaluation after it."""
        # The mean, not the median: with worker processes some steps wait for data and others find
        # them ready, and only the mean adds up to an epoch.
        return self.steps_per_epoch * self.step_seconds.mean + self.evaluation_seconds

    @property
    def run_seconds(self) -> float:
        """The run: setup, the evaluation before the first epoch, and all epochs."""
        epochs = self.specification.num_epochs * self.epoch_seconds
        return self.set_up_seconds + self.evaluation_seconds + epochs

    def for_json(self) -> dict[str, Any]:
        """All of it, in types of JSON."""
        measured = {name: getattr(self, name) for name in self.__slots__ if name != "specification"}
        return {
            **self.specification.model_dump(mode="json"),
            **{
                name: asdict(value) if isinstance(value, (Spread, PeakMemory)) else value
                for name, value in measured.items()
            },
            "epoch_seconds": self.epoch_seconds,
            "run_seconds": self.run_seconds,
        }


def estimate(
    specification: RunSpecification,
    *,
    optimizer_class: type[torch.optim.Optimizer] | None = None,
    seconds: float = DEFAULT_SECONDS,
) -> Estimate:
    """Measure a part of a run and extrapolate.

    Steps and evaluations are timed in this process as `run` executes them, and steps of SGD in turn
    with those of the optimizer. Memory is that of the whole process: to learn what a run needs,
    call it in one that holds nothing else.

    Args:
        specification: The run, from `specify`.
        optimizer_class: The optimizer's class, where its import string does not lead to it.
        seconds: Duration of the measurement; a few steps and batches are measured in any case.

    Raises:
        DataError: The data are missing or broken.
        ArgumentError: A value does not fit the data set or the model.
    """
    seconds = checks.non_negative("seconds", seconds)
    device = torch.device(specification.device)
    with environment.reproducible(specification):
        reset_peak_memory(device)
        start = time.perf_counter()
        problem = set_up_problem(specification)
        optimizer = build_optimizer(specification, problem, optimizer_class)
        _synchronize(device)
        set_up_seconds = time.perf_counter() - start
        lengths = full_lengths(problem.dataset, specification)
        for_evaluation = _SHARE_OF_EVALUATION * seconds
        evaluation_seconds = _evaluation_seconds(problem, lengths, for_evaluation, device)
        training = _training(specification, problem, optimizer, seconds - for_evaluation)
        return Estimate(
            specification=specification,
            set_up_seconds=set_up_seconds,
            evaluation_seconds=evaluation_seconds,
            steps_per_epoch=lengths["train"],
            peak_memory=peak_memory(device),
            fake_data=bool(getattr(problem.dataset, "is_fake", False)),
            hardware=environment.hardware(device),
            **training,
        )


def _evaluation_seconds(
    problem: TestProblem, lengths: Mapping[str, int], seconds: float, device: torch.device
) -> float:
    """The time of an evaluation at full size, from some batches of each split."""
    loaders = _loaders_of(problem.dataset)
    del loaders["train"]
    total = 0.0
    with evaluating(problem):
        for split, loader in loaders.items():
            work = _evaluation(problem, _endless(loader, split))
            timings = time_in_turn([work], seconds=seconds / len(loaders), device=device)
            total += lengths[split] * timings.seconds().mean
    return total


def _evaluation(problem: TestProblem, batches: Iterator[Batch]) -> Work:
    return lambda units: mean_loss_and_accuracy(problem, itertools.islice(batches, units))


def _training(
    specification: RunSpecification,
    problem: TestProblem,
    optimizer: torch.optim.Optimizer,
    seconds: float,
) -> dict[str, Any]:
    """The fields of an estimate that come from steps of the optimizer and of SGD in turn."""
    batches = _endless(problem.dataset.train_loader, "train")
    trainer = Trainer(problem, optimizer, needs=specification.optimizer_needs)
    objectives: list[float] = []
    rivals = [_steps(trainer, batches, objectives)]
    is_sgd = _is_plain_sgd(specification)
    if not is_sgd:
        # On the same model, so that no second one takes memory. At a learning rate of 0 its kernels
        # take as long as ever, but the weights stay where the optimizer left them, so that steps of
        # SGD cannot make it diverge.
        sgd = torch.optim.SGD(problem.model.parameters(), lr=0.0)
        rivals.append(_steps(Trainer(problem, sgd), batches, []))
    device = torch.device(specification.device)
    with trainer.training():
        timings = time_in_turn(rivals, seconds=seconds, device=device)
    return {
        "step_seconds": timings.seconds(0),
        "sgd_step_seconds": timings.seconds(len(rivals) - 1),
        "sgd_ratio": timings.ratio(0, len(rivals) - 1),
        "is_sgd": is_sgd,
        "timed_steps": timings.units,
        "gradient_evaluations_per_step": trainer.gradient_evaluations / trainer.steps,
        "has_diverged": not all(map(math.isfinite, objectives)),
    }


def _steps(trainer: Trainer, batches: Iterator[Batch], objectives: list[float]) -> Work:
    def take(units: int) -> None:
        objectives.extend(trainer.take_steps(itertools.islice(batches, units)))

    return take


def _endless(loader: Loader, split: str) -> Iterator[Batch]:
    """The batches of one pass after the other."""
    if not len(loader):
        raise ArgumentError(f"The {split} split has no batch to time. Choose a smaller batch size.")
    while True:
        yield from loader


def _is_plain_sgd(specification: RunSpecification) -> bool:
    if specification.optimizer_target != "torch.optim:SGD" or specification.parameter_groups:
        return False
    defaults = inspect.signature(torch.optim.SGD).parameters
    return all(
        name == "lr" or value == defaults[name].default
        for name, value in specification.hyperparameters.items()
    )


@dataclass(frozen=True, slots=True)
class Timings:
    """The times of rivals that worked in turn.

    Attributes:
        units_per_block: Units of work of each rival before the next one's turn.
        rounds: Seconds per unit, of every round and rival.
    """

    units_per_block: int
    rounds: tuple[tuple[float, ...], ...]

    @property
    def units(self) -> int:
        """Units of work of each rival."""
        return self.units_per_block * len(self.rounds)

    def seconds(self, rival: int = 0) -> Spread:
        """Seconds per unit of the rival at a position."""
        return Spread.of(taken[rival] for taken in self.rounds)

    def ratio(self, rival: int, reference: int) -> Spread:
        """Time of one rival over that of another one, round by round."""
        return Spread.of(taken[rival] / taken[reference] for taken in self.rounds)


def time_in_turn(rivals: Sequence[Work], *, seconds: float, device: torch.device) -> Timings:
    """Time rivals block by block, in the order A B, B A, A B, ... so that none is favored.

    Args:
        rivals: The work to time; each is called a few times before, so that allocators and kernels
            settle.
        seconds: No further round starts after so much time; a few units are always timed.
        device: Where the work is done.
    """
    deadline = time.perf_counter() + seconds
    slowest = max(_warm_up(rival, deadline, device) for rival in rivals)
    # A block waits for the device once, at its end, as runs do: no more often, and no less.
    units = min(max(1, round(_BLOCK_SECONDS / slowest)), STEPS_BETWEEN_REPORTS)
    rounds: list[tuple[float, ...]] = []
    while len(rounds) < _MIN_ROUNDS or time.perf_counter() < deadline:
        taken = [0.0] * len(rivals)
        positions = range(len(rivals))
        for position in reversed(positions) if len(rounds) % 2 else positions:
            taken[position] = seconds_of(rivals[position], units, device) / units
        rounds.append(tuple(taken))
    return Timings(units, tuple(rounds))


def seconds_of(work: Work, units: int, device: torch.device) -> float:
    """Time a number of units, until the device has completed them."""
    _synchronize(device)
    start = time.perf_counter()
    work(units)
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _warm_up(work: Work, deadline: float, device: torch.device) -> float:
    """The shortest time of a few units, in seconds."""
    taken = []
    for number in itertools.count(1):
        taken.append(seconds_of(work, 1, device))
        # What is slow has settled after the first unit, and more would not fit into the time.
        if number == _WARM_UP_UNITS or time.perf_counter() > deadline:
            break
    return min(taken)


def reset_peak_memory(device: torch.device) -> None:
    """Let peaks start from the present memory.

    Only Linux resets that of a process. Elsewhere it stays that since the process started.

    Args:
        device: Its peak is reset besides that of the process.
    """
    with contextlib.suppress(OSError):
        (_THIS_PROCESS / "clear_refs").write_text("5", encoding="ascii")
    if device.type != "cpu":
        reset = getattr(torch.get_device_module(device), "reset_peak_memory_stats", None)
        if reset is not None:
            reset(device)


def peak_memory(device: torch.device) -> PeakMemory:
    """The peaks since `reset_peak_memory`.

    Args:
        device: Where the work was done.
    """
    ask = None
    if device.type != "cpu":
        ask = getattr(torch.get_device_module(device), "max_memory_allocated", None)
    return PeakMemory(process=_peak_of_process(), device=None if ask is None else int(ask(device)))


def _peak_of_process() -> int | None:
    # The kernel's own number first: that of `resource` cannot be reset, and a child that is started
    # by a larger process inherits it.
    with contextlib.suppress(OSError):
        status = (_THIS_PROCESS / "status").read_text(encoding="utf-8")
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _loaders_of(dataset: DataSet) -> dict[str, Loader]:
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
    lengths = {name: len(loader) for name, loader in _loaders_of(dataset).items()}
    sizes: dict[str, int] = getattr(dataset, "split_sizes", {})
    # Other packages' data sets need not state their sizes: then only their loaders tell.
    if not getattr(dataset, "is_fake", False) or not lengths.keys() <= sizes.keys():
        return lengths
    full_sizes = _full_sizes(dataset, specification, sizes)
    return {
        name: _scaled(length, sizes[name], full_sizes[name], specification.batch_size)
        for name, length in lengths.items()
    }


def _full_sizes(
    dataset: DataSet, specification: RunSpecification, sizes: dict[str, int]
) -> dict[str, int]:
    """Examples of each split of the real data."""
    problem = registry().problems.offer(specification.testproblem).spec
    spec = registry().datasets.offer(problem.dataset).spec
    train = spec.train_size - specification.validation_size
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
    return round(
        length * full_size / size
    )  # batches of something else than examples, such as characters
