"""Records of runs in MLflow."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import re
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from deepobs.errors import OutputError, first_line_of
from deepobs.runs.trackers.tracker import PROJECT, Tracker, missing_library

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from deepobs.records import RunRecord
    from deepobs.runs.trackers.tracker import TrackedRun

_DATABASE = "mlflow.db"
_SQLITE = "sqlite:///"
_RUN_ID = "deepobs.run_id"
_SECONDS_BETWEEN_WRITES = 5.0
_MOST_METRICS = 1000  # of one call, by MLflow's own limit
_LONGEST_PARAM, _LONGEST_TAG = 6000, 5000  # also MLflow's
_SECONDS_LOCKED = 60.0
_STATUS = {
    "completed": "FINISHED",
    "diverged": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}


class MLflow(Tracker):
    """Logs runs in MLflow.

    They go to the tracking server that MLflow is set to, by `MLFLOW_TRACKING_URI` or
    `mlflow.set_tracking_uri`; otherwise into `mlflow.db`, a database in the current directory. A
    run that begins anew deletes its earlier record, which MLflow can restore.

    Args:
        place: The name of the experiment; `None` for `MLFLOW_EXPERIMENT_NAME`, else `deepobs`.

    Raises:
        MissingPackageError: MLflow is not installed.
        OutputError: The experiment cannot be opened.
    """

    def __init__(self, place: str | None = None) -> None:
        self._experiment = place or os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        self._uri = _tracking_uri()
        try:
            # Here, since workers would create the tables of a new database all at once.
            with _alone(self._uri), _quiet():
                _experiment_id(self._uri, self._experiment)
        except Exception as error:  # MLflow raises those of SQLAlchemy, requests and its own
            shown = re.sub(r"//[^/]*@", "//", self._uri)  # without a password
            raise OutputError(
                f"The experiment {self._experiment!r} of MLflow at {shown} cannot be opened: "
                f"{first_line_of(error)}. Set MLFLOW_TRACKING_URI to another place."
            ) from error

    def begin(self, run: TrackedRun) -> Mapping[str, int]:
        """Find or create the record."""
        self._client = _client(self._uri)
        self._waiting: list[Any] = []
        self._written_at = time.monotonic()
        experiment = _experiment_id(self._uri, self._experiment)
        found = self._records_of(run.run_id, experiment)
        if run.is_resumed and found:
            self._id = found[0]
            self._client.update_run(self._id, status="RUNNING")
            return self._latest_steps()
        for earlier in found:
            self._client.delete_run(earlier)
        self._id = self._create(run, experiment)
        return {}

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep metrics, and write them from time to time."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(name, float(value), now, step) for name, value in metrics.items()]
        # Each write is a transaction, for which other workers wait.
        if time.monotonic() - self._written_at > _SECONDS_BETWEEN_WRITES:
            self._write()

    def end(self, status: str, reason: str, record: RunRecord | None) -> None:
        """Write the rest, the result as an artifact, and the status."""
        self._write()
        tags = {"deepobs.status": status} | ({"deepobs.reason": reason} if reason else {})
        for name, text in tags.items():
            _patiently(self._client.set_tag, self._id, name, text[:_LONGEST_TAG])
        if record is not None:
            name = f"random_seed__{record.random_seed}.json"
            self._client.log_text(self._id, record.to_json(), name)
        _patiently(self._client.set_terminated, self._id, _STATUS[status])

    def _records_of(self, run_id: str, experiment: str) -> list[str]:
        """The ids that MLflow has for a run, the latest first."""
        found = self._client.search_runs([experiment], f"tags.`{_RUN_ID}` = '{run_id}'")
        return [one.info.run_id for one in found]

    def _create(self, run: TrackedRun, experiment: str) -> str:
        from mlflow.entities import Param

        facts = {f"deepobs.{name}": text[:_LONGEST_TAG] for name, text in run.facts.items()}
        tags = {_RUN_ID: run.run_id, "deepobs.group": run.group, **facts}
        made = _patiently(self._client.create_run, experiment, tags=tags, run_name=run.name)
        params = [Param(name, str(value)[:_LONGEST_PARAM]) for name, value in run.config.items()]
        _patiently(self._client.log_batch, made.info.run_id, params=params)
        return str(made.info.run_id)

    def _latest_steps(self) -> dict[str, int]:
        names: Iterable[str] = self._client.get_run(self._id).data.metrics
        histories = {name: self._client.get_metric_history(self._id, name) for name in names}
        return {name: max(one.step for one in those) for name, those in histories.items()}

    def _write(self) -> None:
        while self._waiting:
            now, self._waiting = self._waiting[:_MOST_METRICS], self._waiting[_MOST_METRICS:]
            _patiently(self._client.log_batch, self._id, metrics=now)
        self._written_at = time.monotonic()


def _tracking_uri() -> str:
    """Where MLflow is set to write, or our database; other directories may be current later."""
    try:
        mlflow: Any = importlib.import_module("mlflow")
    except ImportError as error:
        raise missing_library("MLflow", "mlflow", error) from error
    if not mlflow.is_tracking_uri_set():
        return f"{_SQLITE}{Path(_DATABASE).resolve()}"
    uri = str(mlflow.get_tracking_uri())
    path = uri.removeprefix(_SQLITE)
    return f"{_SQLITE}{Path(path).resolve()}" if path != uri else uri


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what MLflow tells of its tables, and of its own use of SQLAlchemy."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(level)


def _alone(uri: str) -> contextlib.AbstractContextManager[object]:
    """Keep other processes from creating the same database meanwhile."""
    path = Path(uri.removeprefix(_SQLITE))
    if not uri.startswith(_SQLITE):
        return contextlib.nullcontext()
    return FileLock(path.with_name(f".{path.name}.lock"))


@functools.cache
def _client(uri: str) -> Any:
    """The client of this process, which takes seconds to connect."""
    try:
        from mlflow import MlflowClient
    except ImportError as error:  # of a worker
        raise missing_library("MLflow", "mlflow", error) from error
    with _quiet():
        return MlflowClient(uri)


def _experiment_id(uri: str, name: str) -> str:
    client = _client(uri)
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _patiently(function: Any, *arguments: Any, **further: Any) -> Any:
    """Call a function of MLflow again while another process holds the lock of its database."""
    deadline = time.monotonic() + _SECONDS_LOCKED
    while True:
        try:
            return function(*arguments, **further)
        except Exception as error:
            if "database is locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
