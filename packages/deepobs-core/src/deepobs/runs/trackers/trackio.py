"""Records of runs in trackio."""

from __future__ import annotations

import contextlib
import contextvars
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from deepobs.errors import OutputError
from deepobs.runs.trackers.tracker import PROJECT, Tracker, missing_library

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs.records import RunRecord
    from deepobs.runs.trackers.tracker import TrackedRun


class Trackio(Tracker):
    """Logs runs in trackio, as its variables say: `TRACKIO_DIR`, `TRACKIO_SPACE_ID`, ...

    Args:
        place: The name of the project; `None` for `deepobs`.

    Raises:
        MissingPackageError: The package trackio is not installed.
    """

    def __init__(self, place: str | None = None) -> None:
        _library()
        self._project = place or PROJECT

    def begin(self, run: TrackedRun) -> Mapping[str, int]:
        """Open the record."""
        trackio = _library()
        # Records are found by name, which does not identify a run.
        self._name = f"{run.name} ({run.run_id[:8]})"
        if not run.is_resumed:
            self._delete_earlier()
        # In a context of its own, as it would end another run of this one.
        self._run: Any = _silently(
            contextvars.Context().run,
            trackio.init,
            project=self._project,
            name=self._name,
            group=run.group,
            config={**run.config, "run_id": run.run_id, **run.facts},
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self._step = -1
        latest: dict[str, int] = {}
        for row in self._written():
            latest |= dict.fromkeys(row, row["step"])
        return latest

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log metrics; a thread of the library writes them."""
        self._step = step
        self._run.log(dict(metrics), step=step)

    def end(self, status: str, reason: str, record: RunRecord | None) -> None:
        """Write the status with the last step, and the result.

        Raises:
            OutputError: The library, which raises nothing, has not written all.
        """
        self._run.log({"status": status, "reason": reason}, step=max(self._step, 0))
        with TemporaryDirectory() as directory:
            if record is not None:
                path = Path(directory) / f"random_seed__{record.random_seed}.json"
                path.write_text(record.to_json(), encoding="utf-8")
                result = _library().Artifact(name=f"result-{record.run_id}", type="result")
                result.add_file(str(path))
                _silently(self._run.log_artifact, result)
            _silently(self._run.finish)
        # On file systems of networks, and for a server, the library writes elsewhere first.
        is_here = self._run._is_local and self._run._storage_mode == "sqlite"
        if is_here and not any("status" in row for row in self._written()[-1:]):
            raise OutputError(f"The project {self._project} does not have all of {self._name}.")

    def _delete_earlier(self) -> None:
        """Delete what the local database has of the run, if it has its project."""
        with contextlib.suppress(ValueError):
            for earlier in _library().Api().runs(self._project):
                if earlier.name == self._name:
                    earlier.delete()

    def _written(self) -> list[dict[str, Any]]:
        """The steps in the local database, in order."""
        rows = _library().SQLiteStorage.get_logs(self._project, self._name, run_id=self._run.id)
        return sorted(rows, key=lambda row: row["step"])


def _silently(function: Any, *arguments: Any, **further: Any) -> Any:
    """Call a function of the library without what it prints about itself."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments, **further)


def _library() -> Any:
    try:
        import trackio
    except ImportError as error:
        raise missing_library("trackio", "trackio", error) from error
    return trackio
