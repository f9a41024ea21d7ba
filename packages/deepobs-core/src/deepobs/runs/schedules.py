"""What changes the learning rate in the course of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError
from deepobs.runs.lr_schedulers import build_scheduler, takes_a_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from deepobs.records import LrScheduler, RunSpecification


class Schedule:
    """A learning rate that stays as it is; the base class of what changes it.

    Attributes:
        after_step: To be called after each step; `None` where nothing is to be done then.
    """

    after_step: Callable[[], object] | None = None

    def start_epoch(self, epoch: int) -> None:
        """Set the rates for the epoch that follows on `epoch` trained ones."""

    def epoch_ended(self, metrics: Mapping[str, float]) -> None:
        """Go on after an epoch.

        Args:
            metrics: What the evaluation after it measured.
        """

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep, besides the rates in the optimizer."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called."""


class StepSchedule(Schedule):
    """A learning rate that changes at given epochs, relative to where it started.

    Args:
        optimizer: Whose learning rates to set.
        epochs: Epochs after which the rates change, increasing.
        factors: What the initial rates are multiplied by from then on.

    Raises:
        ArgumentError: The optimizer keeps no learning rate `lr`.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, epochs: tuple[int, ...], factors: tuple[float, ...]
    ) -> None:
        self._optimizer = optimizer
        self._factor_from = dict(zip(epochs, factors, strict=True))
        if not all("lr" in group for group in optimizer.param_groups):
            raise ArgumentError(
                f"{type(optimizer).__name__} keeps no learning rate 'lr' in its parameter groups: "
                "leave out the schedule."
            )
        self._initial_rates = [group["lr"] for group in optimizer.param_groups]

    def start_epoch(self, epoch: int) -> None:
        """Set the rates for the epoch that follows on `epoch` trained ones."""
        factor = self._factor_from.get(epoch)
        if factor is not None:
            groups = self._optimizer.param_groups  # others once a state was loaded
            for group, initial_rate in zip(groups, self._initial_rates, strict=True):
                group["lr"] = initial_rate * factor


class SchedulerSchedule(Schedule):
    """The learning rate of a scheduler of torch.

    Args:
        description: The scheduler.
        optimizer: Whose learning rates to set.
        num_epochs: Length of the run in epochs.
        num_steps: Length of the run in steps.

    Raises:
        ArgumentError: The scheduler does not take the optimizer.
    """

    def __init__(
        self,
        description: LrScheduler,
        optimizer: torch.optim.Optimizer,
        *,
        num_epochs: int,
        num_steps: int,
    ) -> None:
        lengths = {"num_epochs": max(num_epochs, 1), "num_steps": max(num_steps, 1)}
        self._scheduler: Any = build_scheduler(description, optimizer, lengths)
        self._takes_a_metric = takes_a_metric(description)
        self._goes_on_after_epochs = description.every == "epoch"
        if not self._goes_on_after_epochs:
            self.after_step = self._scheduler.step

    def epoch_ended(self, metrics: Mapping[str, float]) -> None:
        """Go on after an epoch; a scheduler that goes by a metric gets the training loss."""
        if self._takes_a_metric:
            self._scheduler.step(metrics["train_loss"])
        elif self._goes_on_after_epochs:
            self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep, besides the rates in the optimizer."""
        state: dict[str, Any] = self._scheduler.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called."""
        self._scheduler.load_state_dict(state)


def build_schedule(
    specification: RunSpecification, optimizer: torch.optim.Optimizer, steps_per_epoch: int
) -> Schedule:
    """Build what a run asks for.

    Args:
        specification: The run.
        optimizer: Its optimizer.
        steps_per_epoch: Steps of a pass over the training set.

    Raises:
        ArgumentError: The optimizer does not take a schedule.
    """
    if specification.lr_scheduler is not None:
        return SchedulerSchedule(
            specification.lr_scheduler,
            optimizer,
            num_epochs=specification.num_epochs,
            num_steps=specification.num_epochs * steps_per_epoch,
        )
    if specification.lr_sched_epochs is not None:
        factors = specification.lr_sched_factors or ()
        return StepSchedule(optimizer, specification.lr_sched_epochs, factors)
    return Schedule()
