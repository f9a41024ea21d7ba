"""The observer hooks of plugins as an observer of runs, for processes with such plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification


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
