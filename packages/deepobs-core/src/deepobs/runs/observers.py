"""Observers of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs import rng
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepobs.records import RunRecord, RunSpecification


class RunObserver:
    """Receives the events of a run; override those of interest."""

    def run_started(self, specification: RunSpecification, steps_per_epoch: int) -> None:
        """Everything was checked and set up; no step was taken yet."""

    def epoch_started(self, epoch: int, learning_rate: float | None) -> None:
        """An epoch of training begins.

        Args:
            epoch: Epochs trained so far.
            learning_rate: The learning rate of its first step; `None` where the optimizer has none.
        """

    def steps_taken(self, steps: int, loss: float) -> None:
        """Steps were taken.

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


def tell(observers: Sequence[RunObserver | PluginObservers], event: str, *arguments: Any) -> None:
    """Call a method of several observers, without any effect on the numbers of the run.

    Args:
        observers: The observers, in the order in which they are called.
        event: The name of the method.
        *arguments: Its arguments.
    """
    # A run gives the same numbers whether it is observed or not.
    with rng.preserved():
        for observer in observers:
            method = getattr(observer, event, None)
            if method is not None:
                method(*arguments)


class PluginObservers:
    """Passes the events on to the observer hooks of plugins."""

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
        # A copy: a plugin that changes the record must not change the result file.
        registry().notify("deepobs_run_ended", record=record.model_copy(deep=True))
