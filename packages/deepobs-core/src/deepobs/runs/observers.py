"""Who wants to know what happens in a run while it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs import rng
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepobs.records import RunRecord, RunSpecification


class RunObserver:
    """Is told of the events of a run; override what is of interest."""

    def run_started(self, specification: RunSpecification, steps_per_epoch: int) -> None:
        """Everything was checked and set up; nothing was trained yet."""

    def steps_taken(self, steps: int, loss: float) -> None:
        """Training went on.

        Args:
            steps: Steps since the beginning of the run.
            loss: Objective of the latest step, which may be infinite or NaN.
        """

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """The model was evaluated, before the first epoch (0) or after an epoch.

        Args:
            epoch: Epochs trained so far.
            metrics: `train_loss`, `test_loss` and the others that the problem has, by name.
        """

    def run_ended(self, record: RunRecord) -> None:
        """The run completed or diverged."""


class Observers(RunObserver):
    """Passes the events on to several observers.

    A run gives the same numbers whether it is observed or not: random numbers that an observer
    draws from torch's generators are not missing afterwards.

    Args:
        observers: Whom to tell, in this order.
    """

    def __init__(self, observers: Sequence[RunObserver]) -> None:
        self._observers = observers

    def run_started(self, specification: RunSpecification, steps_per_epoch: int) -> None:
        """Tell all."""
        with rng.preserved():
            for observer in self._observers:
                observer.run_started(specification, steps_per_epoch)

    def steps_taken(self, steps: int, loss: float) -> None:
        """Tell all."""
        with rng.preserved():
            for observer in self._observers:
                observer.steps_taken(steps, loss)

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Tell all."""
        with rng.preserved():
            for observer in self._observers:
                observer.epoch_ended(epoch, metrics)

    def run_ended(self, record: RunRecord) -> None:
        """Tell all."""
        with rng.preserved():
            for observer in self._observers:
                observer.run_ended(record)


class PluginObservers(RunObserver):
    """Passes the events on to the observers that plugins offer."""

    def run_started(self, specification: RunSpecification, steps_per_epoch: int) -> None:
        """Call `deepobs_run_started`."""
        del steps_per_epoch
        self._specification = specification
        registry().notify("deepobs_run_started", specification=specification)

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Call `deepobs_epoch_ended`."""
        registry().notify(
            "deepobs_epoch_ended",
            specification=self._specification,
            epoch=epoch,
            metrics=dict(metrics),
        )

    def run_ended(self, record: RunRecord) -> None:
        """Call `deepobs_run_ended`."""
        # A stranger's: what it does to the record does not get into the result.
        registry().notify("deepobs_run_ended", record=record.model_copy(deep=True))
