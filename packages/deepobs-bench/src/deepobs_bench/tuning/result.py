"""What is kept of a tuning: one file beside the runs, which appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import statistics
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from deepobs.errors import OutputError
from deepobs.files import write_atomic
from deepobs_bench.tuning.protocol import TuningProtocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SCHEMA_VERSION = 1
SUFFIX = ".tuning"
"""Not that of result files, so that nobody who reads runs takes it for one."""

_ASKED = {
    "testproblem",
    "optimizer",
    "optimizer_target",
    "hyperparameters",
    "training",
    "protocol",
}

Status = Literal["completed", "diverged", "failed", "pruned", "refused"]


class TunedRun(BaseModel):
    """A run of a trial, or of the report.

    Attributes:
        seed: Its seed.
        run_id: Hash of its specification, as its result file has it.
        status: How it ended.
        value: What trials are compared by; `None` unless it completed.
        metrics: Losses and accuracies after the last epoch, such as `test_loss`.
        message: What went wrong, where something did.
        command: The command that repeats it.
    """

    model_config = ConfigDict(frozen=True)

    seed: int
    run_id: str
    status: Status
    value: float | None = None
    metrics: dict[str, float | None] = {}
    message: str = ""
    command: str = ""


class Trial(BaseModel):
    """A setting that was tried.

    Attributes:
        number: Its place in the order of suggestions, counted from 0.
        setting: Values by the names of the space.
        status: "completed", else how the first run ended that did not: "pruned" where it was
            stopped because it fell behind, "refused" where the optimizer does not take the values.
        value: Mean of what counts over its runs; `None` unless all completed.
        runs: A run for each seed.
        message: What went wrong, where something did.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    setting: dict[str, Any]
    status: Status
    value: float | None = None
    runs: tuple[TunedRun, ...] = ()
    message: str = ""


class Summary(BaseModel):
    """A metric over several runs.

    Attributes:
        runs: How many runs it is of: those that completed.
        mean: Their mean.
        std: Their population standard deviation, sqrt(sum((value - mean)^2) / runs), as the
            original reports it; `None` of a single run.
    """

    model_config = ConfigDict(frozen=True)

    runs: int
    mean: float
    std: float | None


class TuningResult(BaseModel):
    """How an optimizer was tuned on a problem, and what came of it.

    Attributes:
        schema_version: Version of this layout.
        testproblem: Name of the test problem.
        optimizer: Name of the optimizer.
        optimizer_target: Its class, as `package.module:Class`.
        hyperparameters: Those that are the same in all trials.
        training: The rest of what the runs of all trials have in common.
        protocol: How it was tuned.
        explanation: How the winner was chosen and reported, in words.
        trials: All that was tried, in the order of suggestions.
        winner: Number of the best trial, `None` where none completed.
        report: Runs of the winner with the seeds of the report.
        summary: Metrics after the last epoch over the report's runs, by name.
        summary_without_selection: The same over those whose seed took no part in the choice, where
            that of others did.
        versions: Versions of what the suggestions depend on.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    testproblem: str
    optimizer: str
    optimizer_target: str
    hyperparameters: dict[str, Any]
    training: dict[str, Any]
    protocol: TuningProtocol
    explanation: tuple[str, ...]
    trials: tuple[Trial, ...]
    winner: int | None
    report: tuple[TunedRun, ...]
    summary: dict[str, Summary]
    summary_without_selection: dict[str, Summary] | None = None
    versions: dict[str, str]

    @property
    def best(self) -> Trial | None:
        """The trial that won, `None` where none completed."""
        return None if self.winner is None else self.trials[self.winner]

    @property
    def tuning_id(self) -> str:
        """A hash of what was asked for, whatever came of it."""
        asked = self.model_dump(mode="json", include=_ASKED, exclude={"protocol": {"remarks"}})
        canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def summarized(runs: Iterable[TunedRun]) -> dict[str, Summary]:
    """Means and standard deviations over the runs that completed.

    Args:
        runs: Runs of one setting.

    Returns:
        A summary for each metric whose values are all finite.
    """
    completed = [run.metrics for run in runs if run.status == "completed"]
    names = completed[0] if completed else ()
    columns = {name: [metrics[name] for metrics in completed] for name in names}
    return {name: _summary(values) for name, values in columns.items() if None not in values}


def path_of(output_dir: Path, result: TuningResult) -> Path:
    """Where the result lies: beside its runs, and always in the same file.

    Args:
        output_dir: Where results are kept.
        result: The result.
    """
    problem = result.testproblem.rpartition(":")[2]
    name = f"tuning__{result.protocol.sampler}__{result.tuning_id}{SUFFIX}"
    return output_dir / problem / result.optimizer / name


def write(output_dir: Path, result: TuningResult) -> Path:
    """Write the result beside its runs.

    Args:
        output_dir: Where results are kept.
        result: The result.

    Returns:
        The file.

    Raises:
        OutputError: It cannot be written.
    """
    path = path_of(output_dir, result)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, result.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise OutputError(
            f"The result {path} cannot be written: {error}. Choose another directory."
        ) from error
    return path


def read(path: Path) -> TuningResult:
    """Read the result of a tuning.

    Raises:
        OSError: It cannot be opened.
        ValidationError: It is no such file.
    """
    return TuningResult.model_validate_json(path.read_bytes())


def _summary(values: list[Any]) -> Summary:
    std = statistics.pstdev(values) if len(values) > 1 else None
    return Summary(runs=len(values), mean=statistics.fmean(values), std=std)
