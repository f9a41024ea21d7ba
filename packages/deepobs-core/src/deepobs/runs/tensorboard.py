"""Logs of runs for TensorBoard."""

from __future__ import annotations

import contextlib
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs.errors import MissingPackageError, OutputError
from deepobs.runs.execution import RunObserver
from deepobs.runs.progress import schedule_of
from deepobs.runs.specification import reproduction_command
from deepobs.runs.store import configuration_directory

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

OBJECTIVE = "objective/train"
"""Tag of the objective, by step; other tags are by epoch."""

_EVENT_FILES = "events.out.tfevents.*"
_SECONDS_BETWEEN_FLUSHES = 5


class TensorBoardObserver(RunObserver):
    """Writes the events of runs to event files for TensorBoard.

    There are scalars of every metric by epoch (`loss/test`, `accuracy/test`, ...), or by step where
    `evaluate_every` of the run is a number of steps, of the objective
    by step (`objective/train`) and of the learning rate at the beginning of epochs
    (`learning_rate`); the command that reproduces the run; and hyperparameters, by which
    TensorBoard compares runs. Seeds of a configuration are one group there.

    A run has a directory of its own,
    `<testproblem>/<optimizer>/<configuration>/random_seed__<seed>`, in which a run that is repeated
    or resumed replaces the earlier files.

    Args:
        directory: Where to write; shared by workers on several machines.

    Raises:
        MissingPackageError: TensorBoard is not installed.
    """

    _log: _RunLog
    _position_of: Callable[[int], int]

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        require_tensorboard()
        self._directory = Path(directory).resolve()  # workers may run elsewhere

    def run_started(self, specification: RunSpecification, steps_per_epoch: int) -> None:
        """Start new event files.

        Raises:
            MissingPackageError: TensorBoard is not installed on the worker.
            OutputError: The files cannot be written.
        """
        require_tensorboard()
        # Places on the axis of TensorBoard are integers: epochs, unless some are within one.
        self._position_of = int
        if "step" in specification.evaluate_every:
            num_steps = specification.steps_in_all(steps_per_epoch)
            self._position_of = lambda epoch: min(epoch * steps_per_epoch, num_steps)
        if hasattr(self, "_log"):  # not set if the run failed, which observers do not learn
            self._log.close()
        configuration = configuration_directory(self._directory, specification)
        with self._failures_explained():
            self._log = _RunLog(configuration / f"random_seed__{specification.random_seed}")
            self._log.start(str(configuration.relative_to(self._directory)), specification)

    def epoch_started(self, epoch: int, learning_rate: float | None) -> None:
        """Write the learning rate."""
        if learning_rate is not None:
            with self._failures_explained():
                self._log.write_scalars(epoch, {"learning_rate": learning_rate})

    def steps_taken(self, steps: int, loss: float) -> None:
        """Write the objective."""
        with self._failures_explained():
            self._log.write_objective(steps, loss)

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
        with self._failures_explained():
            self._log.write_scalars(position, scalars)

    def run_ended(self, record: RunRecord) -> None:
        """Close the files."""
        with self._failures_explained():
            self._log.end(is_success=record.status == "completed")

    @contextlib.contextmanager
    def _failures_explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"Logs for TensorBoard cannot be written to {self._directory}: "
                f"{error.strerror or error}. Choose another directory."
            ) from error


def require_tensorboard() -> None:
    """Make sure that TensorBoard is installed.

    Raises:
        MissingPackageError: It is not.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f"Logs for TensorBoard need the package tensorboard, which cannot be imported "
            f"({error}). Install it with: pip install 'deepobs-core[tensorboard]'."
        ) from error


class _RunLog:
    """The event files of one run, closed at the latest when it is garbage-collected.

    Args:
        directory: The directory of the run, whose event files are replaced.
    """

    def __init__(self, directory: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Observers of a resumed run receive its earlier epochs again, but not its earlier steps.
        self._earlier_objectives = _objectives_in(directory)
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
        summary = hparams_pb(_hyperparameters(specification), trial_id=configuration)
        self._writer.file_writer.add_summary(summary)
        self._writer.add_text("reproduce", f"    {reproduction_command(specification)}")

    def write_objective(self, steps: int, value: float) -> None:
        self._write_earlier_objectives(before=steps)
        self._writer.add_scalar(OBJECTIVE, value, steps)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        for tag, value in scalars.items():
            self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def end(self, *, is_success: bool) -> None:
        from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS

        self._write_earlier_objectives()
        summary = _session_end(STATUS_SUCCESS if is_success else STATUS_FAILURE)
        self._writer.file_writer.add_summary(summary)
        self.close()

    def close(self) -> None:
        self._finalizer()

    def _write_earlier_objectives(self, before: float = float("inf")) -> None:
        """Write the objectives of the part that is not repeated."""
        for step, (value, wall_time) in sorted(self._earlier_objectives.items()):
            if step < before:
                self._writer.add_scalar(OBJECTIVE, value, step, wall_time)
        self._earlier_objectives = {}


def _objectives_in(directory: Path) -> dict[int, tuple[float, float]]:
    """The objectives in event files, and when they were written, by step."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    return {
        event.step: (value.simple_value, event.wall_time)
        for path in sorted(directory.glob(_EVENT_FILES))
        for event in LegacyEventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag == OBJECTIVE
    }


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


def _hyperparameters(specification: RunSpecification) -> dict[str, bool | int | float | str]:
    """The hyperparameters that TensorBoard compares; values of other types as text."""
    in_groups = {
        f"{role}.{name}": value
        for role, settings in specification.parameter_groups.items()
        for name, value in settings.items()
    }
    named = {
        "testproblem": specification.testproblem,
        "optimizer": specification.optimizer,
        "num_epochs": specification.num_epochs,
        "batch_size": specification.batch_size,
        "problem_weight_decay": specification.weight_decay,
        "lr_schedule": schedule_of(specification) or None,
        **specification.hyperparameters,
        **in_groups,
    }
    return {
        name: value if isinstance(value, (bool, int, float, str)) else str(value)
        for name, value in named.items()
        if value is not None
    }
