"""The result of a tuning: one file beside its runs."""

from __future__ import annotations

import hashlib
import json
import statistics
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, computed_field

from deepobs.errors import OutputError
from deepobs.files import open_atomic
from deepobs.html_views import grid
from deepobs.run_specifications import STORED, Values
from deepobs_bench.tuning.protocol import TuningProtocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SUFFIX = ".tuning"
"""Another one than that of result files, so that readers of runs skip the file."""

_SCHEMA_VERSION = 1
_REQUESTED = {
    *("testproblem", "optimizer", "optimizer_target", "hyperparameters", "training", "protocol")
}

Status = Literal["completed", "diverged", "failed", "pruned", "refused"]


class TunedRun(BaseModel):
    """A run of a trial, or of the report.

    Attributes:
        seed: Its seed.
        run_id: Hash of its specification, as in its result file.
        status: How it ended.
        value: What trials are compared by; `None` unless it completed.
        metrics: Losses and accuracies after the last epoch, such as `test_loss`.
        message: What went wrong, if anything.
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
    """A configuration that was run.

    Attributes:
        number: Its place in the order of suggestions, counted from 0.
        setting: Values by the names of the space.
        status: "completed", else the status of the first run that did not complete, or "refused"
            if the optimizer does not accept the values.
        value: Mean of what counts over its runs; `None` unless all completed.
        runs: A run for each seed.
        message: What went wrong, if anything.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    setting: Values
    status: Status
    value: float | None = None
    runs: tuple[TunedRun, ...] = ()
    message: str = ""


class Summary(BaseModel):
    """A metric over several runs.

    Attributes:
        runs: Number of runs, those that completed.
        mean: Their mean.
        std: Their population standard deviation, sqrt(sum((value - mean)^2) / runs), as the
            original reports it; `None` of a single run.
    """

    model_config = ConfigDict(frozen=True)

    runs: int
    mean: float
    std: float | None


class TuningResult(BaseModel):
    """How an optimizer was tuned on a problem, and the result.

    Attributes:
        schema_version: Version of this layout.
        testproblem: Name of the test problem.
        optimizer: Name of the optimizer.
        optimizer_target: Its class, as `package.module:Class`.
        hyperparameters: Those that are the same in all trials.
        training: What else the runs of all trials share.
        protocol: How it was tuned.
        explanation: How the winner was selected and reported, in words.
        trials: All trials in the order of suggestions.
        winner: Number of the best trial, `None` if none completed.
        report: Runs of the winner with the seeds of the report.
        summary: Metrics after the last epoch over the report's runs, by name.
        summary_without_selection: The same over those whose seed took no part in the choice, if
            that of others did.
        versions: Versions of what the suggestions depend on.
    """

    model_config = STORED | ConfigDict(frozen=True)

    schema_version: int = _SCHEMA_VERSION
    testproblem: str
    optimizer: str
    optimizer_target: str
    hyperparameters: Values
    training: Values
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
        """The trial that won, `None` if none completed."""
        return None if self.winner is None else self.trials[self.winner]

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorated properties
    @property
    def distinct_configurations(self) -> int:
        """How many of the trials were different runs: a sampler can run out of new values."""
        tried = (one.runs[0].run_id if one.runs else repr(one.setting) for one in self.trials)
        return len(set(tried))

    @property
    def tuning_id(self) -> str:
        """A hash of what was requested, whatever came of it."""
        # Remarks only describe the rest: new words for them must not give the tuning a new file.
        requested = self.model_dump(
            mode="json", include=_REQUESTED, exclude={"protocol": {"remarks"}}
        )
        # The order of keys depends on how the request was written, and must not change the file.
        canonical = json.dumps(requested, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield "testproblem", self.testproblem
        yield "optimizer", self.optimizer
        yield "sampler", self.protocol.sampler
        yield "trials", len(self.trials)
        yield "winner", self._winning_hyperparameters()
        for name, summary in self.summary.items():
            if name.startswith("test"):
                yield name, (summary.mean, summary.std)
        yield "report_seeds", f"{self._num_completed} of {len(self.report)} completed"

    def _repr_html_(self) -> str:
        winner = self._winning_hyperparameters()
        shown = (
            "no winner" if winner is None else ", ".join(f"{k} = {v}" for k, v in winner.items())
        )
        caption = (
            f"{self.optimizer} on {self.testproblem}, {self.protocol.sampler} of "
            f"{len(self.trials)} trials: {shown or 'the defaults'}; {self._num_completed} of "
            f"{len(self.report)} runs of the report completed"
        )
        rows = [
            (name.replace("_", " "), one.mean, one.std, one.runs)
            for name, one in self.summary.items()
        ]
        return grid(caption, ("", "mean", "deviation", "seeds"), rows)

    def _winning_hyperparameters(self) -> dict[str, Any] | None:
        return None if self.best is None else {**self.hyperparameters, **self.best.setting}

    @property
    def _num_completed(self) -> int:
        return sum(run.status == "completed" for run in self.report)

    def path_in(self, output_dir: Path) -> Path:
        """Where the result is kept: beside its runs, and always in the same file."""
        name = f"tuning__{self.protocol.sampler}__{self.tuning_id}{SUFFIX}"
        return directory_of(output_dir, self.testproblem, self.optimizer) / name


def directory_of(output_dir: Path, testproblem: str, optimizer: str) -> Path:
    """Where the results of all tunings of an optimizer on a problem are kept."""
    return output_dir / testproblem.rpartition(":")[2] / optimizer


def summarized(runs: Iterable[TunedRun]) -> dict[str, Summary]:
    """Summarize the metrics of the runs of one configuration that completed, if all are finite."""
    completed = [run.metrics for run in runs if run.status == "completed"]
    names = completed[0] if completed else ()
    summaries = {}
    for name in names:
        values = [value for metrics in completed if (value := metrics[name]) is not None]
        # All or none: a mean over the runs that stayed finite would be too good.
        if len(values) == len(completed):
            std = statistics.pstdev(values) if len(values) > 1 else None
            summaries[name] = Summary(runs=len(values), mean=statistics.fmean(values), std=std)
    return summaries


def write(output_dir: Path, result: TuningResult) -> Path:
    """Write a result beside its runs, and return its file.

    Raises:
        OutputError: It cannot be written.
    """
    path = result.path_in(output_dir)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(path) as stream:
            stream.write(result.model_dump_json(indent=1).encode() + b"\n")
    except OSError as error:
        raise OutputError(
            f"The result {path} cannot be written: {error}. Choose another directory."
        ) from error
    return path


def read(path: Path) -> TuningResult:
    """Read the result of a tuning.

    Raises:
        OSError: The file cannot be opened.
        ValidationError: It holds something else.
    """
    return TuningResult.model_validate_json(path.read_bytes())
