"""Records of tunings, which `deepobs bench` and `deepobs tune` write beside their runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.console.text import counted
from deepobs.metrics import METRICS, series_name
from deepobs_analysis import json_values as values
from deepobs_analysis.json_values import NoResultError

if TYPE_CHECKING:
    from collections.abc import Mapping

NEWEST_SCHEMA = 1
"""The newest layout that is understood."""


@dataclass(frozen=True, slots=True)
class TunedRun:
    """A run of a trial, or of the report.

    Attributes:
        seed: Its seed.
        run_id: Its identity.
        status: "completed", "diverged", "failed" or "pruned".
        value: What trials are compared by; `None` unless it completed.
        message: What went wrong, if anything.
    """

    seed: int
    run_id: str
    status: str
    value: float | None
    message: str


@dataclass(frozen=True, slots=True)
class TunedTrial:
    """A configuration that was tried.

    Attributes:
        number: Its place in the order of suggestions, counted from 0.
        setting: Values by the names of the space.
        status: How its runs ended, or "refused" where the optimizer did not accept the values.
        value: The mean of what counts over its runs; `None` unless all completed.
        runs: A run for each seed.
        message: What went wrong, if anything.
    """

    number: int
    setting: dict[str, Any]
    status: str
    value: float | None
    runs: tuple[TunedRun, ...]
    message: str


@dataclass(frozen=True, slots=True, repr=False)
class TuningRecord:
    """How an optimizer was tuned on a problem.

    Attributes:
        file: Path of the record.
        problem: The test problem, as the results of the runs call it.
        optimizer: The optimizer, as the results of the runs call it.
        hyperparameters: Those that were the same in all trials.
        training: What else the runs of all trials share.
        protocol: How it was tuned: `space`, `sampler`, `trials`, `seeds`, `report_seeds`,
            `select_on`, `epoch`, `metric`, `budget`, `preset`, `prune` and more, as in the file.
        explanation: How the winner was selected and reported, in sentences.
        trials: All trials in the order of suggestions.
        winner: The place of the best one in `trials`; `None` if none completed.
        report: The runs of the winner with the seeds of the report.
        label: What the experiment file calls the optimizer, if one was read.
    """

    file: str
    problem: str
    optimizer: str
    hyperparameters: dict[str, Any]
    training: dict[str, Any]
    protocol: dict[str, Any]
    explanation: tuple[str, ...]
    trials: tuple[TunedTrial, ...]
    winner: int | None
    report: tuple[TunedRun, ...]
    label: str = ""

    def __repr__(self) -> str:
        best = "no winner" if self.best is None else f"winner {self.best.setting}"
        trials = counted(len(self.trials), "trial")
        return f"TuningRecord({self.optimizer} on {self.problem}, {trials}, {best})"

    @property
    def best(self) -> TunedTrial | None:
        """The trial that won, `None` if none completed."""
        return None if self.winner is None else self.trials[self.winner]

    @property
    def curve(self) -> str:
        """The column of `Results.runs` by which the winner was selected: `valid_losses`."""
        return series_name(f"{self.protocol['select_on']}_{self.protocol['metric']}")

    @property
    def report_ids(self) -> frozenset[str]:
        """The identities of the report's runs."""
        return frozenset(run.run_id for run in self.report)

    @property
    def trial_ids(self) -> frozenset[str]:
        """The identities of the runs of all trials."""
        return frozenset(run.run_id for trial in self.trials for run in trial.runs)


def tuning_from(data: object, file: str) -> TuningRecord:
    """Understand the content of a record.

    Args:
        data: What its JSON holds.
        file: Its path.

    Raises:
        NoResultError: It is not the record of a tuning.
    """
    if not isinstance(data, dict):
        raise NoResultError("it is not the record of a tuning: it holds no dictionary")
    version = values.integer(data, "schema_version")
    if version > NEWEST_SCHEMA:
        raise NoResultError(f"a newer DeepOBS wrote it (schema_version {version})")
    protocol = values.mapping(data, "protocol")
    if f"{protocol.get('select_on')}_{protocol.get('metric')}" not in METRICS:
        raise NoResultError("its protocol does not say what trials were compared by")
    trials = tuple(_trial(each) for each in _dictionaries(data, "trials"))
    winner = values.optional_integer(data, "winner")
    if winner is not None and winner >= len(trials):
        raise NoResultError(f"its winner, trial {winner}, is none of its {len(trials)} trials")
    explanation = data.get("explanation")
    return TuningRecord(
        file=file,
        problem=values.text(data, "testproblem"),
        optimizer=values.text(data, "optimizer"),
        hyperparameters=values.mapping(data, "hyperparameters"),
        training=values.mapping(data, "training"),
        protocol={**protocol, "space": values.mapping(protocol, "space")},
        explanation=tuple(map(str, explanation)) if isinstance(explanation, list) else (),
        trials=trials,
        winner=winner,
        report=tuple(_run(each) for each in _dictionaries(data, "report")),
    )


def _trial(data: Mapping[str, Any]) -> TunedTrial:
    return TunedTrial(
        number=values.integer(data, "number"),
        setting=values.mapping(data, "setting"),
        status=values.text(data, "status"),
        value=_value(data),
        runs=tuple(_run(each) for each in _dictionaries(data, "runs")),
        message=values.text(data, "message", ""),
    )


def _run(data: Mapping[str, Any]) -> TunedRun:
    return TunedRun(
        seed=values.integer(data, "seed"),
        run_id=values.text(data, "run_id"),
        status=values.text(data, "status"),
        value=_value(data),
        message=values.text(data, "message", ""),
    )


def _value(data: Mapping[str, Any]) -> float | None:
    value = values.number(data, "value")
    return value if math.isfinite(value) else None


def _dictionaries(data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    listed = data.get(key, [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise NoResultError(f"{key} is not a list of dictionaries")
    return listed
