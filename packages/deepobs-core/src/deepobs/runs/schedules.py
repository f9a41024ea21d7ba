"""Learning-rate schedules: PyTorch schedulers, and the step schedule of the original DeepOBS."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

import torch

from deepobs import rng
from deepobs.errors import ArgumentError, message_of
from deepobs.runs.schedulers import (
    build_scheduler,
    can_end,
    metric_of,
    refusals_explained,
    require_rates,
    split_at_metric,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from deepobs.run_specifications import LrScheduler, RunSpecification

_ENDS = (
    *(ArithmeticError, AssertionError, LookupError, RuntimeError, StopIteration),
    *(TypeError, ValueError),
)
"""What schedulers raise at their end: that of torch a ValueError, others that read a list more."""


class Schedule:
    """Sets the learning rate in the course of a run.

    Args:
        scheduler: Has the method `step`; `None` where the rate follows a metric from the beginning.
        every: When it advances: after each "epoch" or each "step".
        follower: A scheduler whose `step` takes the value of a metric. It takes over when
            `scheduler`, its warm-up, has advanced so many times as `starts_at` says.
        metric: The metric that it follows, such as "train_loss".
        starts_at: See `follower`.

    Attributes:
        after_step: To be called after each step; `None` if there is nothing to do then.
    """

    def __init__(
        self,
        scheduler: Any,
        *,
        every: str = "epoch",
        follower: Any = None,
        metric: str = "train_loss",
        starts_at: int = 0,
    ) -> None:
        self._scheduler = scheduler
        self._follower = follower
        self._metric = metric
        self._starts_at = starts_at
        self._advanced = 0
        advance = scheduler.step if follower is None else self._warm_up
        self.after_step: Callable[[], object] | None = None
        if every == "step" and scheduler is not None:
            self.after_step = advance
        self._after_epoch = advance if every == "epoch" else None

    def evaluated(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Advance after an epoch.

        Args:
            epoch: Epochs trained so far; nothing happens before the first.
            metrics: What was measured, losses without the regularizer.

        Raises:
            ArgumentError: The problem does not have the metric.
        """
        if self._follower is not None and self._metric not in metrics:
            raise ArgumentError(
                f"The schedule follows {self._metric}, which this problem does not have: it has "
                f"{', '.join(metrics)}. Choose another metric."
            )
        if epoch == 0:
            return
        if self._follower is not None and self._advanced >= self._starts_at:
            self._follower.step(metrics[self._metric])
        elif self._after_epoch is not None:
            self._after_epoch()

    def _warm_up(self) -> None:
        self._advanced += 1
        if self._advanced < self._starts_at:
            self._scheduler.step()
        elif self._advanced == self._starts_at:
            # As SequentialLR does, each scheduler starts from the initial rates.
            for group in self._follower.optimizer.param_groups:
                set_rate(group, group["initial_lr"])


class StepFactors:
    """The step schedule of the original: from given epochs on, initial rates times a factor.

    Its rates are `initial_rate * factor`, to the bit those of the original, and between the epochs
    it leaves alone what the optimizer does to its rates. The initial rate of a group that is added
    during training is the one that it had when this schedule first saw it.

    Args:
        optimizer: The optimizer whose learning rates it sets.
        factors: Factors by the epoch after which they apply.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, factors: Mapping[int, float]) -> None:
        self._optimizer = optimizer
        self._factors = factors
        self._initial_rates: list[Any] = []
        self._epoch = 0
        self._apply()

    def step(self) -> None:
        """Advance by an epoch."""
        self._epoch += 1
        self._apply()

    def _apply(self) -> None:
        # Not stored: loading a state gives the optimizer new groups.
        groups = self._optimizer.param_groups
        self._initial_rates += [
            _own_copy(group.get("lr")) for group in groups[len(self._initial_rates) :]
        ]
        factor = self._factors.get(self._epoch)
        if factor is not None:
            for group, initial_rate in zip(groups, self._initial_rates, strict=False):
                if initial_rate is not None:
                    set_rate(group, initial_rate * factor)


def set_rate(group: dict[str, Any], rate: Any) -> None:
    """Set the learning rate of a parameter group."""
    if isinstance(group["lr"], torch.Tensor):
        # In place: compiled and captured steps read this very tensor.
        group["lr"].copy_(torch.as_tensor(rate))
    else:
        group["lr"] = rate


def build_schedule(
    specification: RunSpecification, optimizer: torch.optim.Optimizer, steps_per_epoch: int
) -> Schedule:
    """Build the schedule that a run specifies, after it was tried for the length of the run.

    Args:
        specification: The run, whose learning rate changes.
        optimizer: Its optimizer.
        steps_per_epoch: Steps of a pass over the training set.

    Raises:
        ArgumentError: The optimizer does not take it, or it ends before the run.
    """
    description, name = specification.lr_scheduler, specification.optimizer
    require_rates(optimizer, name)
    if description is None:
        epochs, factors = specification.lr_sched_epochs or (), specification.lr_sched_factors or ()
        return Schedule(StepFactors(optimizer, dict(zip(epochs, factors, strict=True))))
    epochs_begun = specification.epochs_begun(steps_per_epoch)
    steps = specification.steps_in_all(steps_per_epoch)
    # At least 1: some schedulers divide by the length, and a run of 0 epochs is evaluated, too.
    lengths = {"num_epochs": max(epochs_begun, 1), "num_steps": max(steps, 1)}
    if can_end(description):
        with rng.preserved(), _restored(optimizer):
            rehearsed = _scheduled(description, optimizer, lengths, name)
            _rehearse(rehearsed, description, epochs_begun, steps)
    return _scheduled(description, optimizer, lengths, name)


def _scheduled(
    description: LrScheduler,
    optimizer: torch.optim.Optimizer,
    lengths: Mapping[str, int],
    name: str,
) -> Schedule:
    first, follower, starts_at = split_at_metric(description)
    with refusals_explained(description, name):
        scheduler = None if first is None else build_scheduler(first, optimizer, lengths)
        if follower is None:
            return Schedule(scheduler, every=description.every)
        return Schedule(
            scheduler,
            every=description.every,
            follower=build_scheduler(follower, optimizer, lengths),
            metric=metric_of(follower),
            starts_at=lengths.get(starts_at, starts_at),
        )


def _rehearse(schedule: Schedule, description: LrScheduler, epochs: int, steps: int) -> None:
    """Let a schedule advance as often as the run will."""
    total = steps if schedule.after_step is not None else epochs
    done = 0
    try:
        for done in range(total):
            if schedule.after_step is not None:
                schedule.after_step()
            else:
                schedule.evaluated(done + 1, {metric_of(description): 1.0})
    except _ENDS as error:
        raise ArgumentError(
            f"{description.name} fails after {done} of {total} {description.every}s of the run: "
            f"{message_of(error)}. Let it last as long as the run, whose length is called "
            "'num_steps' and 'num_epochs' in its arguments, or train for less."
        ) from error


@contextlib.contextmanager
def _restored(optimizer: Any) -> Iterator[None]:
    """Leave an optimizer as it was before a scheduler was tried on it."""
    # In place, for the same dictionaries may be those of a wrapper or of an optimizer in it.
    containers = [vars(optimizer), *optimizer.param_groups]
    containers += [one for one in vars(optimizer).values() if isinstance(one, (dict, list))]
    before = [(one, copy.copy(one)) for one in containers]
    rates = [(group["lr"], _own_copy(group["lr"])) for group in optimizer.param_groups]
    # Schedulers warn where the optimizer has taken no step.
    optimizer._opt_called = True
    try:
        yield
    finally:
        for container, content in before:
            container.clear()
            container.extend(content) if isinstance(container, list) else container.update(content)
        for rate, value in rates:
            if isinstance(rate, torch.Tensor):
                rate.copy_(value)


def _own_copy(rate: Any) -> Any:
    return rate.clone() if isinstance(rate, torch.Tensor) else rate
