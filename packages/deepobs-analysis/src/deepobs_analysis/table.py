"""The table of runs."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepobs.errors import DeepOBSError
from deepobs.plugins import registry
from deepobs_analysis.files import readable
from deepobs_analysis.results import CURVES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from deepobs_analysis.assembly import Placed
    from deepobs_analysis.run import Run
    from deepobs_analysis.values import Floats

_ARRAYS = (*CURVES, "train_seconds")

COLUMNS = (
    *("file", "format", "is_reference", "problem", "optimizer", "setting", "hyperparameters"),
    *("schedule", "seed", "batch_size", "num_epochs", "weight_decay", "metric", "has_diverged"),
    *("diverged_at_epoch", *_ARRAYS, "steps", "gradient_evaluations", "steps_per_epoch"),
    *("device", "hardware", "versions", "command", "started_at"),
)
"""The columns of `Results.runs`, in their order."""

_OF_THE_RUN = ("format", "problem", "schedule", "device", "command", "started_at")
_INTEGERS = ("seed", "batch_size", "num_epochs")
_OPTIONAL_INTEGERS = ("diverged_at_epoch", "steps", "gradient_evaluations")


def table_of(root: Path, placed: Sequence[Placed]) -> pd.DataFrame:
    """Make the table of runs that `Results` describes.

    Args:
        root: The directory that was read.
        placed: The runs, in their order.
    """
    runs = [each.run for each in placed]
    columns: dict[str, Any] = {
        "file": _objects(readable(os.path.join(root, each.file.name)) for each in placed),  # noqa: PTH118
        "is_reference": np.zeros(len(runs), dtype=bool),
        "optimizer": _objects(each.optimizer for each in placed),
        "setting": _objects(each.setting.text for each in placed),
        "hyperparameters": _objects(_hyperparameters(runs)),
        "weight_decay": np.array([run.weight_decay for run in runs], dtype=np.float64),
        "metric": _objects(_metrics(runs)),
        "has_diverged": np.array([run.has_diverged for run in runs], dtype=bool),
        "steps_per_epoch": _steps_per_epoch(runs),
        "hardware": _objects(_parsed(run.hardware for run in runs)),
        "versions": _objects(_parsed(run.versions for run in runs)),
    }
    for name in _OF_THE_RUN:
        columns[name] = _objects(getattr(run, name) for run in runs)
    for name in _INTEGERS:
        columns[name] = np.array([getattr(run, name) for run in runs], dtype=np.int64)
    for name in _OPTIONAL_INTEGERS:
        columns[name] = pd.array([getattr(run, name) for run in runs], dtype="Int64")
    for place, name in enumerate(_ARRAYS):
        columns[name] = _objects(run.curves[place] for run in runs)
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


def _objects(values: Iterable[Any]) -> pd.Series[Any]:
    """A column of texts, arrays or dictionaries, which pandas must not look into."""
    listed = list(values)
    column = np.empty(len(listed), dtype=object)
    for index, value in enumerate(listed):
        column[index] = value
    return pd.Series(column, dtype=object)


def _parsed(texts: Iterable[str]) -> list[dict[str, Any]]:
    """What JSON texts hold, each its own dictionary; most are the same."""
    known: dict[str, dict[str, Any]] = {}
    listed = list(texts)
    for text in listed:
        if text not in known:
            known[text] = json.loads(text)
    return [dict(known[text]) for text in listed]


def _hyperparameters(runs: Iterable[Run]) -> list[dict[str, Any]]:
    return [dict(each["hyperparameters"]) for each in _parsed(run.identity for run in runs)]


def _metrics(runs: Sequence[Run]) -> list[str]:
    """What each run's problem is judged by.

    That is what the problem's plugin says, where it is installed; else the accuracy, where a run of
    the problem has one.
    """
    place = _ARRAYS.index("test_accuracies")
    with_accuracy = {run.problem for run in runs if run.curves[place] is not None}
    metric = {}
    for problem in {run.problem for run in runs}:
        metric[problem] = "accuracy" if problem in with_accuracy else "loss"
        with suppress(DeepOBSError):  # it is of a plugin that is not installed here
            metric[problem] = registry().problems.spec(problem).metric
    return [metric[run.problem] for run in runs]


def _steps_per_epoch(runs: Sequence[Run]) -> Floats:
    """Steps of a whole epoch. One that diverged broke off in the middle, so others tell for it."""
    own = [_own_steps_per_epoch(run) for run in runs]
    alike = [(run.problem, run.batch_size) for run in runs]
    known = {key: steps for key, steps in zip(alike, own, strict=True) if steps is not None}
    steps = [
        known.get(key, np.nan) if each is None and run.steps is not None else each
        for run, key, each in zip(runs, alike, own, strict=True)
    ]
    return np.array(steps, dtype=np.float64)


def _own_steps_per_epoch(run: Run) -> float | None:
    if run.steps is None or run.has_diverged or not run.num_epochs:
        return None
    return run.steps / run.num_epochs
