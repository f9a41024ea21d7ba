"""Estimates of the time and memory that a run takes, from a few steps of it."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import re
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from deepobs import checks
from deepobs.runs import environment
from deepobs.runs.timing import (
    SHARE_OF_EVALUATION,
    evaluation_seconds,
    full_lengths,
    time_in_turn,
    timed_set_up,
    with_recalibration,
    work_on,
)
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deepobs.protocols import Batch, TestProblem
    from deepobs.run_specifications import RunSpecification

__all__ = ["Estimate", "PeakMemory", "Spread", "estimate"]

DEFAULT_SECONDS = 10.0

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
        compile_seconds: Compiling the model; 0 where it is not compiled.
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
    compile_seconds: float = 0.0
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
        """The run: setup, compilation, all evaluations and all steps."""
        steps = self.specification.steps_in_all(self.steps_per_epoch)
        evaluations = len(self.specification.evaluation_steps(self.steps_per_epoch))
        training = steps * self.step_seconds.mean
        once = self.set_up_seconds + self.compile_seconds
        return once + evaluations * self.evaluation_seconds + training

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
        problem, optimizer, set_up_seconds = timed_set_up(specification, optimizer_class)
        lengths = full_lengths(problem.dataset, specification)
        lengths = with_recalibration(lengths, specification, problem)
        for_evaluation = SHARE_OF_EVALUATION * seconds
        evaluation = evaluation_seconds(problem, lengths, seconds=for_evaluation, device=device)
        training = _training(specification, problem, optimizer, seconds - for_evaluation)
        compile_seconds = 0.0
        if specification.compile_mode is not None:
            from deepobs.runs.model_options import take_compile_seconds

            compile_seconds = take_compile_seconds()
        return Estimate(
            specification=specification,
            set_up_seconds=set_up_seconds,
            compile_seconds=compile_seconds,
            evaluation_seconds=evaluation,
            steps_per_epoch=lengths["train"],
            peak_memory=peak_memory(device),
            fake_data=bool(getattr(problem.dataset, "is_fake", False)),
            hardware=environment.hardware(device),
            **training,
        )


def _training(
    specification: RunSpecification,
    problem: TestProblem,
    optimizer: torch.optim.Optimizer,
    seconds: float,
) -> dict[str, Any]:
    """The fields of an estimate that come from steps of the optimizer and of SGD in turn."""
    # One iterator for both: two would keep twice the worker processes of a loader.
    batches = itertools.chain.from_iterable(itertools.repeat(problem.dataset.train_loader))
    needs = specification.optimizer_needs
    trainer = Trainer(problem, optimizer, needs=needs, specification=specification)
    objectives: list[float] = []

    def take_steps(block: Iterator[Batch]) -> None:
        objectives.extend(trainer.take_steps(block))

    rivals = [work_on(batches, take_steps)]
    is_sgd = _is_plain_sgd(specification)
    if not is_sgd:
        # On the same model, so that no second one takes memory. At a learning rate of 0 its kernels
        # take as long as ever, but the weights stay where the optimizer left them, so that steps of
        # SGD cannot make it diverge.
        sgd = torch.optim.SGD(problem.model.parameters(), lr=0.0)
        of_sgd = Trainer(problem, sgd, specification=specification)
        rivals.append(work_on(batches, of_sgd.take_steps))
    device = torch.device(specification.device)
    with trainer.training():
        timed_steps, rounds = time_in_turn(rivals, seconds=seconds, device=device)
    return {
        "step_seconds": Spread.of(taken[0] for taken in rounds),
        "sgd_step_seconds": Spread.of(taken[-1] for taken in rounds),
        "sgd_ratio": Spread.of(taken[0] / taken[-1] for taken in rounds),
        "is_sgd": is_sgd,
        "timed_steps": timed_steps,
        "gradient_evaluations_per_step": trainer.gradient_evaluations / trainer.steps,
        "has_diverged": not all(map(math.isfinite, objectives)),
    }


def _is_plain_sgd(specification: RunSpecification) -> bool:
    if specification.optimizer_target != "torch.optim:SGD" or specification.parameter_groups:
        return False
    defaults = inspect.signature(torch.optim.SGD).parameters
    return all(
        name == "lr" or value == defaults[name].default
        for name, value in specification.hyperparameters.items()
    )


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
