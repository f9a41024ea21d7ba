"""Logs for TensorBoard, read back by TensorBoard itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def scalars(directory: Path) -> dict[str, dict[int, float]]:
    """Values by tag and step, each of which is there once."""
    events = events_of(directory)
    series = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    steps = {tag: [event.step for event in those] for tag, those in series.items()}
    assert all(len(set(those)) == len(those) for those in steps.values()), steps
    return {tag: {e.step: e.value for e in those} for tag, those in series.items()}


def hparams(directory: Path, moment: str) -> Any:
    """What TensorBoard's tab HParams knows of the start or the end of a run."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    metadata = events_of(directory).SummaryMetadata(f"_hparams_/session_{moment}_info")
    data = HParamsPluginData.FromString(metadata.plugin_data.content)
    return getattr(data, f"session_{moment}_info")


def events_of(directory: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = directory.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file.parent))
    events.Reload()
    return events
