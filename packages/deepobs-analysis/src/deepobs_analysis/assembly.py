"""From what single files say to the table of all runs."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepobs.errors import DeepOBSError
from deepobs.plugins import registry
from deepobs_analysis.files import Excluded
from deepobs_analysis.names import displayed_names
from deepobs_analysis.results import CURVES, LeftOut, Results
from deepobs_analysis.settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from deepobs_analysis.files import Content, Found
    from deepobs_analysis.formats import Run
    from deepobs_analysis.settings import Setting

_MOMENT = re.compile(r"__(\d{4}(?:-\d+){5,6})\.json$")
_AS_THEY_ARE = (
    "format",
    "problem",
    "schedule",
    "device",
    "command",
    "started_at",
)
_INTEGERS = ("seed", "batch_size", "num_epochs")
_OPTIONAL_INTEGERS = ("diverged_at_epoch", "steps", "gradient_evaluations")


def assemble(root: Path, contents: Mapping[Found, Content], problems: Mapping[str, str]) -> Results:
    """Put runs into one table.

    Args:
        root: The directory that was read.
        contents: What the files below it hold.
        problems: What could not be read, and why.
    """
    files = [found for found, content in contents.items() if not isinstance(content, Excluded)]
    runs = [content for content in contents.values() if not isinstance(content, Excluded)]
    done = {run.run_id for run in runs if run.run_id}
    left_out = dict(problems)
    for found, content in contents.items():
        # A run that failed and was done later is there.
        if isinstance(content, Excluded) and content.run_id not in done:
            left_out[found.name] = content.reason
    optimizers = displayed_names(runs)
    settings = _settings(runs, optimizers)
    kept, older = _latest(files, runs, optimizers, settings)
    left_out |= {files[index].name: "there is a later result of the same run" for index in older}
    kept.sort(key=lambda i: (runs[i].problem, optimizers[i], settings[i].rank, runs[i].seed))
    table = _table(
        root,
        [files[i] for i in kept],
        [runs[i] for i in kept],
        [optimizers[i] for i in kept],
        [settings[i].text for i in kept],
    )
    return Results(table, tuple(LeftOut(_readable(f), r) for f, r in sorted(left_out.items())))


def _settings(runs: Sequence[Run], optimizers: Sequence[str]) -> list[Setting]:
    competitors = [(run.problem, name) for run, name in zip(runs, optimizers, strict=True)]
    identities = defaultdict(set)
    for competitor, run in zip(competitors, runs, strict=True):
        identities[competitor].add(run.identity)
    known = {competitor: settings_of(those) for competitor, those in identities.items()}
    return [
        known[competitor][run.identity] for competitor, run in zip(competitors, runs, strict=True)
    ]


def _latest(
    files: Sequence[Found],
    runs: Sequence[Run],
    optimizers: Sequence[str],
    settings: Sequence[Setting],
) -> tuple[list[int], list[int]]:
    """Of the results of one run, which is the latest and which are older."""
    latest: dict[tuple[str, str, int, int], int] = {}
    older = []
    for index in sorted(range(len(runs)), key=lambda i: _moment(files[i])):
        run = runs[index]
        key = (run.problem, optimizers[index], settings[index].rank, run.seed)
        if key in latest:
            older.append(latest[key])
        latest[key] = index
    return list(latest.values()), older


def _moment(file: Found) -> tuple[str, int, str]:
    """When a result was written: its name says it, whatever was done to the file later."""
    told = _MOMENT.search(file.name)
    return told[1] if told else "", file.modified, file.name


def _table(
    root: Path,
    files: Sequence[Found],
    runs: Sequence[Run],
    optimizers: Sequence[str],
    settings: Sequence[str],
) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "file": _texts(_readable(os.path.join(root, file.name)) for file in files),  # noqa: PTH118
        "is_reference": np.zeros(len(runs), dtype=bool),
        "optimizer": _texts(optimizers),
        "setting": _texts(settings),
        "hyperparameters": _objects(json.loads(run.identity)["hyperparameters"] for run in runs),
        "weight_decay": np.array([run.weight_decay for run in runs], dtype=np.float64),
        "metric": _texts(_metrics(runs)),
        "has_diverged": np.array([run.has_diverged for run in runs], dtype=bool),
        "steps_per_epoch": _steps_per_epoch(runs),
        "hardware": _objects(json.loads(run.hardware) for run in runs),
        "versions": _objects(json.loads(run.versions) for run in runs),
    }
    for name in _AS_THEY_ARE:
        columns[name] = _texts(getattr(run, name) for run in runs)
    for name in _INTEGERS:
        columns[name] = np.array([getattr(run, name) for run in runs], dtype=np.int64)
    for name in _OPTIONAL_INTEGERS:
        columns[name] = pd.array([getattr(run, name) for run in runs], dtype="Int64")
    for place, name in enumerate((*CURVES, "train_seconds")):
        columns[name] = _objects(run.curves[place] for run in runs)
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


COLUMNS = (
    "file",
    "format",
    "is_reference",
    "problem",
    "optimizer",
    "setting",
    "hyperparameters",
    "schedule",
    "seed",
    "batch_size",
    "num_epochs",
    "weight_decay",
    "metric",
    "has_diverged",
    "diverged_at_epoch",
    *CURVES,
    "train_seconds",
    "steps",
    "gradient_evaluations",
    "steps_per_epoch",
    "device",
    "hardware",
    "versions",
    "command",
    "started_at",
)
"""The columns of `Results.runs`, in their order."""


def _texts(values: Iterable[str]) -> pd.Series[str]:
    return pd.Series(list(values), dtype=object)


def _objects(values: Iterable[Any]) -> pd.Series[Any]:
    """A column of arrays or dictionaries, which pandas must not look into."""
    listed = list(values)
    column = np.empty(len(listed), dtype=object)
    for index, value in enumerate(listed):
        column[index] = value
    return pd.Series(column, dtype=object)


def _metrics(runs: Sequence[Run]) -> list[str]:
    """What each run's problem is judged by.

    That is what the problem's plugin says, where it is installed; else the accuracy, where a run of
    the problem has one.
    """
    place = CURVES.index("test_accuracies")
    with_accuracy = {run.problem for run in runs if run.curves[place] is not None}
    metric = {}
    for problem in {run.problem for run in runs}:
        metric[problem] = "accuracy" if problem in with_accuracy else "loss"
        with suppress(DeepOBSError):
            metric[problem] = registry().problems.spec(problem).metric
    return [metric[run.problem] for run in runs]


def _steps_per_epoch(runs: Sequence[Run]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Steps of a whole epoch: a run that diverged broke off in one, so others tell for it."""
    keys = [(run.problem, run.batch_size) for run in runs]
    known = {
        key: run.steps / run.num_epochs
        for key, run in zip(keys, runs, strict=True)
        if run.steps is not None and run.num_epochs and not run.has_diverged
    }
    return np.array(
        [
            known.get(key, np.nan) if run.steps is not None else np.nan
            for key, run in zip(keys, runs, strict=True)
        ],
        dtype=np.float64,
    )


def _readable(name: str) -> str:
    """A file's name may hold bytes that are no characters."""
    return os.fsencode(name).decode(errors="replace")
