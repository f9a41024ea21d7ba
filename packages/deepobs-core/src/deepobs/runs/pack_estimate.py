"""Whether packing runs pays on this machine, from a few steps and evaluations."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from deepobs import checks
from deepobs.runs import environment
from deepobs.runs.evaluation import evaluate
from deepobs.runs.packing import PackingError, begin_pack, reason_to_run_alone
from deepobs.runs.timing import SHARE_OF_EVALUATION, time_in_turn, timed_set_up, work_on
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from deepobs.run_specifications import RunSpecification
    from deepobs.runs.timing import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class PackEstimate:
    """What a run takes in a pack, and alone: seconds without the setup, both measured in turn.

    Attributes:
        size: How many runs are packed.
        reason: Why they cannot be packed; empty if they can. The times are 0 then.
        seconds: All steps and evaluations of a run, its share of those of the pack.
        seconds_alone: Those of a run on its own.
    """

    size: int
    reason: str = ""
    seconds: float = 0.0
    seconds_alone: float = 0.0

    @property
    def ratio(self) -> float:
        """How many times faster runs are in the pack."""
        return self.seconds_alone / self.seconds if self.seconds else 0.0


def estimate_pack(specification: RunSpecification, size: int, *, seconds: float) -> PackEstimate:
    """Measure a pack of runs that are like one, but for the learning rate, beside that one.

    Args:
        specification: The run, from `specify`.
        size: How many runs are packed.
        seconds: Duration of the measurement; a few steps and evaluations are measured in any case.

    Raises:
        DataError: The data are missing or broken.
        ArgumentError: A value does not fit the data set or the model.
    """
    size = checks.integer("size", size, least=2)
    if reason := reason_to_run_alone(specification):
        return PackEstimate(size=size, reason=reason)
    device = torch.device(specification.device)
    with environment.reproducible(specification):
        problem, optimizer, _ = timed_set_up(specification)
        try:
            pack = begin_pack(_like(specification, size))
        except PackingError as error:
            return PackEstimate(size=size, reason=str(error))
        batches = itertools.chain.from_iterable(itertools.repeat(problem.dataset.train_loader))
        trainer = Trainer(problem, optimizer)
        with trainer.training():
            steps = _medians(
                work_on(batches, trainer.take_steps),
                work_on(batches, pack.take_steps),
                seconds * (1 - SHARE_OF_EVALUATION),
                device,
            )
        evaluations = _medians(
            lambda units: [evaluate(problem) for _ in range(units)],
            lambda units: [pack.stacked.evaluate() for _ in range(units)],
            seconds * SHARE_OF_EVALUATION,
            device,
        )
        per_epoch = len(problem.dataset.train_loader)
    num_steps = specification.steps_in_all(per_epoch)
    num_evaluations = len(specification.evaluation_steps(per_epoch))
    alone, packed = (
        num_steps * step + num_evaluations * evaluation
        for step, evaluation in zip(steps, evaluations, strict=True)
    )
    return PackEstimate(size=size, seconds=packed / size, seconds_alone=alone)


def _medians(
    alone: Work, packed: Work, seconds: float, device: torch.device
) -> tuple[float, float]:
    _, rounds = time_in_turn([alone, packed], seconds=seconds, device=device)
    return statistics.median(a for a, _ in rounds), statistics.median(p for _, p in rounds)


def _like(specification: RunSpecification, size: int) -> list[RunSpecification]:
    """Runs with learning rates of their own, by which no step is faster or slower."""
    values = specification.hyperparameters
    rate = values.get("lr")
    if not isinstance(rate, float):
        return [specification] * size
    return [
        specification.model_copy(update={"hyperparameters": {**values, "lr": rate / (1 + number)}})
        for number in range(size)
    ]
