"""The learning rate in the course of a run, worked out from outside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepobs.errors import ArgumentError
from deepobs.runs.schedules import build_schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs.records import LrScheduler, RunSpecification


class LearningRate:
    """Repeats what the schedule of a run does to its learning rate.

    Args:
        specification: The run, whose hyperparameters have a learning rate `lr`.
        steps_per_epoch: Steps of a pass over the training set.

    Raises:
        ArgumentError: The schedule asks for more than an optimizer with one learning rate.
    """

    def __init__(self, specification: RunSpecification, steps_per_epoch: int) -> None:
        parameter = torch.nn.Parameter(torch.ones((), device="cpu"))
        # Some schedulers set a momentum, too, and ask for an optimizer that has one.
        rate = specification.hyperparameters["lr"]
        self._optimizer = torch.optim.SGD([parameter], lr=rate, momentum=0.9)
        self._schedule = build_schedule(specification, self._optimizer, steps_per_epoch)
        self._steps_per_epoch = steps_per_epoch
        self._optimizer.step()  # torch warns of schedulers that go on before the optimizer

    def next_rate(self, epoch: int, metrics: Mapping[str, float]) -> float:
        """The rate at which the epoch that follows begins.

        Args:
            epoch: Epochs trained so far: 0 in the first call, and one more in each further one.
            metrics: What the evaluation after it measured.
        """
        if epoch > 0:
            self._repeat_steps()
            self._schedule.epoch_ended(metrics)
        self._schedule.start_epoch(epoch)
        return float(self._optimizer.param_groups[0]["lr"])

    def _repeat_steps(self) -> None:
        after_step = self._schedule.after_step
        if after_step is not None:
            for _ in range(self._steps_per_epoch):
                after_step()


def learning_rate_of(specification: RunSpecification, steps_per_epoch: int) -> LearningRate | None:
    """The learning rate of a run, `None` where it does not follow from the specification.

    A scheduler of somebody else may ask the optimizer for anything; torch's own do not.

    Args:
        specification: The run.
        steps_per_epoch: Steps of a pass over the training set.
    """
    rate, scheduler = specification.hyperparameters.get("lr"), specification.lr_scheduler
    if not isinstance(rate, (int, float)) or rate < 0:
        return None
    if scheduler is not None and any(":" in name for name in _names(scheduler)):
        return None
    try:
        return LearningRate(specification, steps_per_epoch)
    except ArgumentError:
        return None


def _names(scheduler: LrScheduler) -> list[str]:
    parts = scheduler.arguments.get("schedulers", [])
    return [scheduler.name, *(part["name"] for part in parts)]
