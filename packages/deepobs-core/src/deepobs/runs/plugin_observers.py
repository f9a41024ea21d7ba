"""The observer hooks of plugins as an observer of runs, for processes with such plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification


class PluginObservers:
    """Passes the events on to the observer hooks of plugins."""

    _specification: RunSpecification | None = None
    _rate: float | None = None

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        """Call `deepobs_run_started`."""
        self._specification, self._rate = specification, None
        self._steps_per_epoch = steps_per_epoch
        self._notify("run_started", steps_per_epoch=steps_per_epoch, resumed_at=resumed_at)

    def epoch_started(self, epoch: int, learning_rate: float | None) -> None:
        """Keep the learning rate, which is observed at the end of the epoch."""
        del epoch
        self._rate = learning_rate

    def steps_taken(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Call `deepobs_steps_taken`."""
        self._notify("steps_taken", steps=steps, metrics=dict(metrics))

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Call `deepobs_epoch_ended`."""
        assert self._specification is not None  # noqa: S101 # `run_started` comes first
        steps = self._specification.steps_after(epoch, self._steps_per_epoch)
        self._notify("epoch_ended", epoch=epoch, metrics=dict(metrics), steps=steps, lr=self._rate)

    def run_ended(self, record: RunRecord) -> None:
        """Call `deepobs_run_ended`."""
        # A copy: a plugin that changes the record must not change the result file.
        registry().notify("deepobs_run_ended", record=record.model_copy(deep=True))

    def run_failed(self, error: BaseException) -> None:
        """Call `deepobs_run_failed`, unless the run had not begun."""
        if self._specification is not None:
            self._notify("run_failed", error=error)

    def _notify(self, event: str, **arguments: Any) -> None:
        registry().notify(f"deepobs_{event}", specification=self._specification, **arguments)
