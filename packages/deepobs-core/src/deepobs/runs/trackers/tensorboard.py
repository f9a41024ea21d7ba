"""Logs of runs for TensorBoard."""

from __future__ import annotations

import contextlib
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs.errors import OutputError
from deepobs.runs.execution import RunObserver
from deepobs.runs.specification import reproduction_command
from deepobs.runs.store import configuration_directory
from deepobs.runs.trackers.tracker import hyperparameters_of, missing_library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

_TAGS_OF_STEPS = {"minibatch_train_loss": "objective/train", "gradient_norm": "gradient_norm"}
"""Tags of what is logged by step; other tags are by epoch."""

_DIRECTORY = "runs"  # that of TensorBoard's own writers

_EVENT_FILES = "events.out.tfevents.*"
_SECONDS_BETWEEN_FLUSHES = 5


class TensorBoard(RunObserver):
    """Writes the events of runs to event files for TensorBoard.

    There are scalars of every metric by epoch (`loss/test`, `accuracy/test`, ...), or by step where
    `evaluate_every` of the run is a number of steps; of the objective by step (`objective/train`),
    and the norm of its gradient where it is recorded (`gradient_norm`); and of the learning rate at
    the beginning of epochs (`learning_rate`). There are the command that reproduces the run, and
    hyperparameters, by which TensorBoard compares runs. Seeds of a configuration are one group.

    A run has a directory of its own,
    `<testproblem>/<optimizer>/<configuration>/random_seed__<seed>`, in which a run that is repeated
    or resumed replaces the earlier files.

    Args:
        place: The directory, shared by workers on several machines; `None` for `runs`.

    Raises:
        MissingPackageError: TensorBoard is not installed.
        OutputError: The directory cannot be written.
    """

    _log: _RunLog | None = None
    _position_of: Callable[[int], int]

    def __init__(self, place: str | None = None) -> None:
        _require_tensorboard()
        self._directory = Path(place or _DIRECTORY).resolve()  # workers may run elsewhere
        with self._failures_explained():
            self._directory.mkdir(parents=True, exist_ok=True)

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        """Start new event files; of a run that is resumed, its earlier steps are kept.

        Raises:
            MissingPackageError: TensorBoard is not installed on the worker.
            OutputError: The files cannot be written.
        """
        _require_tensorboard()
        # Places on the axis of TensorBoard are integers: epochs, unless some are within one.
        self._position_of = int
        if "step" in specification.evaluate_every:
            num_steps = specification.steps_in_all(steps_per_epoch)
            self._position_of = lambda epoch: min(epoch * steps_per_epoch, num_steps)
        configuration = configuration_directory(self._directory, specification)
        with self._failures_explained():
            directory = configuration / f"random_seed__{specification.random_seed}"
            self._log = _RunLog(directory, keeps_steps=resumed_at > 0)
            self._log.start(str(configuration.relative_to(self._directory)), specification)

    def epoch_started(self, epoch: int, learning_rate: float | None) -> None:
        """Write the learning rate."""
        if learning_rate is not None:
            self._write(epoch, {"learning_rate": learning_rate})

    def steps_taken(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Write the objective, and the norm of the gradient if there is one."""
        if self._log is not None:
            with self._failures_explained():
                self._log.write_step(steps, metrics)

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics."""
        self._write_metrics(self._position_of(epoch), metrics)

    def evaluated_within_epoch(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics."""
        self._write_metrics(steps, metrics)

    def _write_metrics(self, position: int, metrics: Mapping[str, float]) -> None:
        scalars = {}
        for name, value in metrics.items():
            split, _, metric = name.partition("_")
            scalars[f"{metric}/{split}"] = value
        self._write(position, scalars)

    def _write(self, position: int, scalars: Mapping[str, float]) -> None:
        if self._log is not None:
            with self._failures_explained():
                self._log.write_scalars(position, scalars)

    def run_ended(self, record: RunRecord) -> None:
        """Close the files."""
        self._end(is_success=record.status == "completed")

    def run_failed(self, error: BaseException) -> None:
        """Close the files, as those of a failure."""
        del error
        self._end(is_success=False)

    def _end(self, *, is_success: bool) -> None:
        log, self._log = self._log, None
        if log is not None:
            with self._failures_explained():
                log.end(is_success=is_success)

    @contextlib.contextmanager
    def _failures_explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"Logs for TensorBoard cannot be written to {self._directory}: "
                f"{error.strerror or error}. Choose another directory."
            ) from error


def _require_tensorboard() -> None:
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise missing_library("TensorBoard", "tensorboard", error) from error


class _RunLog:
    """The event files of one run, closed at the latest when it is garbage-collected.

    Args:
        directory: The directory of the run, whose event files are replaced.
        keeps_steps: Whether to take over what they say of steps that are not repeated.
    """

    def __init__(self, directory: Path, *, keeps_steps: bool) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Observers of a resumed run receive its earlier epochs again, but not its earlier steps.
        self._earlier_steps = _steps_in(directory) if keeps_steps else []
        for path in directory.glob(_EVENT_FILES):
            path.unlink()
        # `purge_step` makes a running TensorBoard drop what it read from the old files.
        self._writer: Any = SummaryWriter(
            str(directory), purge_step=0, flush_secs=_SECONDS_BETWEEN_FLUSHES
        )
        self._finalizer = weakref.finalize(self, self._writer.close)

    def start(self, configuration: str, specification: RunSpecification) -> None:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        # Neither `add_hparams`, which makes a run of its own in a directory below, nor its list of
        # all hyperparameters: TensorBoard takes that of one run for all, and hides those of others.
        summary = hparams_pb(hyperparameters_of(specification), trial_id=configuration)
        self._writer.file_writer.add_summary(summary)
        self._writer.add_text("reproduce", f"    {reproduction_command(specification)}")

    def write_step(self, steps: int, metrics: Mapping[str, float]) -> None:
        self._write_earlier_steps(before=steps)
        for name, tag in _TAGS_OF_STEPS.items():
            if name in metrics:
                self._writer.add_scalar(tag, metrics[name], steps)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        for tag, value in scalars.items():
            self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def end(self, *, is_success: bool) -> None:
        from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS

        self._write_earlier_steps()
        summary = _session_end(STATUS_SUCCESS if is_success else STATUS_FAILURE)
        self._writer.file_writer.add_summary(summary)
        self.close()

    def close(self) -> None:
        self._finalizer()

    def _write_earlier_steps(self, before: float = float("inf")) -> None:
        """Write the steps of the part that is not repeated."""
        for step, tag, value, wall_time in self._earlier_steps:
            if step < before:
                self._writer.add_scalar(tag, value, step, wall_time)
        self._earlier_steps = []


def _steps_in(directory: Path) -> list[tuple[int, str, float, float]]:
    """Step, tag, value and time of what event files say of steps, in order and each once."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found = {
        (event.step, value.tag): (value.simple_value, event.wall_time)
        for path in sorted(directory.glob(_EVENT_FILES))
        for event in LegacyEventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag in _TAGS_OF_STEPS.values()
    }
    return [(*key, *found[key]) for key in sorted(found)]


def _session_end(status: int) -> Any:
    """The end of a run for TensorBoard, whose own function for it needs TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    info = SessionEndInfo(status=status, end_time_secs=time.time())
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(HParamsPluginData(session_end_info=info)),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])
