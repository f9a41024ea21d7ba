"""Records of runs in Weights & Biases."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from deepobs.errors import OutputError, first_line_of
from deepobs.runs.trackers.tracker import PROJECT, Tracker, missing_library

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs.records import RunRecord
    from deepobs.runs.trackers.tracker import TrackedRun


class WeightsAndBiases(Tracker):
    """Logs runs in Weights & Biases, as its variables say: `WANDB_MODE=offline`, `WANDB_DIR`, ...

    A run has the same id whenever it is executed: one that is resumed continues its record, one
    that begins anew replaces it. Offline, each execution writes a directory of its own, and `wandb
    sync` makes one record of those of a run.

    Args:
        place: The name of the project; `None` for `WANDB_PROJECT`, else `deepobs`.

    Raises:
        MissingPackageError: The package wandb is not installed.
        OutputError: It is not offline, and cannot log in.
    """

    def __init__(self, place: str | None = None) -> None:
        _log_in()
        self._project = place or os.environ.get("WANDB_PROJECT") or PROJECT
        # Workers may run elsewhere. The library makes the directory `wandb` in it.
        self._directory = str(Path(os.environ.get("WANDB_DIR") or ".").resolve())

    def begin(self, run: TrackedRun) -> Mapping[str, int]:
        """Open the record."""
        wandb = _library()
        self._run: Any = wandb.init(
            id=run.run_id,
            project=self._project,
            name=run.name,
            group=run.group,
            dir=self._directory,
            config={**run.config, "deepobs": dict(run.facts)},
            resume="allow" if run.is_resumed else None,
            reinit="create_new",  # several runs may be trained at once
            # It prints nothing, and logs nothing of its own: neither what is printed nor usage.
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        return {}

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log metrics; the library sends them from a process of its own."""
        # What comes before the latest step of a record would be ignored, with a warning each.
        if step >= self._run.starting_step:
            self._run.log(dict(metrics), step=step)

    def end(self, status: str, reason: str, record: RunRecord | None) -> None:
        """Write status and result, and wait until everything is sent."""
        self._run.summary.update({"status": status, "reason": reason})
        with TemporaryDirectory() as directory:
            if record is not None:
                path = Path(directory) / f"random_seed__{record.random_seed}.json"
                path.write_text(record.to_json(), encoding="utf-8")
                result = _library().Artifact(f"result-{record.run_id}", type="result")
                result.add_file(str(path))
                self._run.log_artifact(result)
            self._run.finish(exit_code=0 if record is not None else 1)


def _log_in() -> None:
    """Log in, which may ask for a key: workers cannot."""
    wandb = _library()
    if wandb.setup().settings.mode != "online":
        return
    try:
        wandb.login()
    except Exception as error:
        raise OutputError(
            f"Weights & Biases cannot log in: {first_line_of(error)}. Set WANDB_API_KEY, or log "
            "without a connection with WANDB_MODE=offline."
        ) from error


def _library() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise missing_library("wandb", "wandb", error) from error
    return wandb
