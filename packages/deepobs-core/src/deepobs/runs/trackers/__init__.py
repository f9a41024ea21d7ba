"""Trackers of experiments, such as MLflow, as observers of runs."""

from deepobs.runs.trackers.tracker import (
    TrackedRun,
    Tracker,
    open_trackers,
    warn_once,
    warnings_given,
)

__all__ = ["TrackedRun", "Tracker", "open_trackers", "warn_once", "warnings_given"]
