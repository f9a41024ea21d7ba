"""How long a run will take and how much memory it needs, from a few steps of it."""

from __future__ import annotations

import inspect
import itertools
import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from deepobs import checks
from deepobs.errors import ArgumentError
from deepobs.runs import environment
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.evaluation import evaluating, mean_loss_and_accuracy
from deepobs.runs.lengths import full_lengths, loaders_of
from deepobs.runs.memory import PeakMemory, forget_peaks, peaks
from deepobs.runs.timing import Spread, synchronize, time_in_turn
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepobs.protocols import Batch, Loader, TestProblem
    from deepobs.records import RunSpecification
    from deepobs.runs.timing import Work

DEFAULT_SECONDS = 10.0

_SHARE_OF_EVALUATION = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run will take, on the device and with the number of threads that it was measured with.

    Attributes:
        specification: The run.
        step_seconds: A training step, with the loading and augmentation of its batch.
        sgd_step_seconds: A step of SGD on the same problem; that of the optimizer where it is SGD.
        sgd_ratio: How many times as long as SGD the optimizer takes; 1 where it is SGD.
        is_sgd: Whether the optimizer is SGD itself, without anything added.
        timed_steps: How many steps of the optimizer were timed.
        gradient_evaluations_per_step: Gradients that the optimizer computed in a step, on average.
        steps_per_epoch: Steps of a pass over the training set of full size.
        evaluation_seconds: A pass over all splits of full size that are evaluated.
        set_up_seconds: What it took to load the data and to build the model and the optimizer.
        peak_memory: The most memory that was in use during the measurement.
        has_diverged: Whether an objective was not finite; where a run would have ended.
        fake_data: Whether the data were synthetic.
        hardware: The machine, as result files describe it.
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
        # Means, as some steps wait for what others found ready: data from worker processes.
        return self.steps_per_epoch * self.step_seconds.mean + self.evaluation_seconds

    @property
    def run_seconds(self) -> float:
        """The run: set-up, the evaluation before the first epoch, and all epochs."""
        epochs = self.specification.num_epochs * self.epoch_seconds
        return self.set_up_seconds + self.evaluation_seconds + epochs

    def for_json(self) -> dict[str, Any]:
        """All of it, in types that JSON has."""
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
    """Measure a part of a run and project what all of it will take.

    Steps and evaluations are timed in this process as `run` carries them out, and steps of SGD in
    turn with those of the optimizer. Memory is that of the whole process: to learn what a run
    needs, call it in one that holds nothing else.

    Args:
        specification: The run, from `specify`.
        optimizer_class: The optimizer's class, where its import string does not lead to it.
        seconds: How long to measure; a few steps and batches are measured however long they take.

    Raises:
        DataError: The data are missing or broken.
        ArgumentError: A value does not fit the data set or the model.
    """
    seconds = checks.non_negative("seconds", seconds)
    device = torch.device(specification.device)
    with environment.reproducible(specification):
        forget_peaks(device)
        start = time.perf_counter()
        problem = set_up_problem(specification)
        optimizer = build_optimizer(specification, problem, optimizer_class)
        synchronize(device)
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
            peak_memory=peaks(device),
            fake_data=bool(getattr(problem.dataset, "is_fake", False)),
            hardware=environment.hardware(device),
            **training,
        )


def _evaluation_seconds(
    problem: TestProblem, lengths: Mapping[str, int], seconds: float, device: torch.device
) -> float:
    """The time of an evaluation at full size, from some batches of each split."""
    loaders = loaders_of(problem.dataset)
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
    """The fields of an estimate that come from steps of the optimizer and of SGD in turn.

    Both train one model, so that no second one takes memory, and SGD has no state of its own. Its
    learning rate is 0: its kernels do not know and take as long as ever, but the weights stay where
    the optimizer left them, which sees no foreign steps and cannot be made to diverge by them.
    """
    batches = _endless(problem.dataset.train_loader, "train")
    trainer = Trainer(problem, optimizer, needs=specification.optimizer_needs)
    steps = _Steps(trainer, batches)
    rivals = [steps]
    is_sgd = _is_plain_sgd(specification)
    if not is_sgd:
        sgd = torch.optim.SGD(problem.model.parameters(), lr=0.0)
        rivals.append(_Steps(Trainer(problem, sgd), batches))
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
        "has_diverged": steps.has_diverged,
    }


class _Steps:
    """Takes steps of a trainer, as many as it is asked for.

    Args:
        trainer: What takes the steps.
        batches: Where their batches come from.

    Attributes:
        has_diverged: Whether an objective was not finite. Steps go on nevertheless.
    """

    def __init__(self, trainer: Trainer, batches: Iterator[Batch]) -> None:
        self.has_diverged = False
        self._trainer = trainer
        self._batches = batches

    def __call__(self, units: int) -> None:
        objectives = self._trainer.take_steps(itertools.islice(self._batches, units))
        self.has_diverged |= not all(map(math.isfinite, objectives))


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
