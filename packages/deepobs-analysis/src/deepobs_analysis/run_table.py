"""The table of runs: what their problems, optimizers and configurations are called, and columns."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from deepobs.errors import DeepOBSError
from deepobs.plugins import registry
from deepobs_analysis.code_versions import code_of, names_of_versions
from deepobs_analysis.configurations import (
    Configuration,
    configurations_of,
    displayed_names,
    measurement_of,
)
from deepobs_analysis.result_files import Found, readable
from deepobs_analysis.results import CURVES
from deepobs_analysis.run_protocols import problem_names, protocol_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.result_formats import Run
    from deepobs_analysis.run_protocols import Protocol

_ARRAYS = (*CURVES, "train_seconds", "iterates", "evaluated_at")
_LOSSES = tuple(name for name in CURVES if name.endswith("losses"))

COLUMNS = (
    *("file", "format", "is_reference", "problem", "testproblem", "optimizer"),
    *(
        "optimizer_name",
        "configuration",
        "hyperparameters",
        "measurement",
        "protocol",
        "schedule",
        "role",
        "seed",
        "batch_size",
        "num_epochs",
    ),
    *("weight_decay", "metric"),
    *("has_diverged", "diverged_at_epoch", *_ARRAYS, "steps", "gradient_evaluations"),
    "test_examples",
    *("steps_per_epoch", "device", "hardware", "versions", "command", "started_at", "code"),
)
"""The columns of `Results.runs`, in their order."""

_OF_THE_RUN = ("format", "schedule", "device", "command", "started_at")
_INTEGERS = ("seed", "batch_size", "num_epochs")
_OPTIONAL_INTEGERS = ("diverged_at_epoch", "steps", "gradient_evaluations", "test_examples")


class FoundRun(NamedTuple):
    """A run, the file that holds it, and its role in tunings: "report", "selection" or empty."""

    file: Found
    run: Run
    role: str = ""


class PlacedRun(NamedTuple):
    """A run among the others, with what its problem, optimizer and configuration are called.

    `versions` ends the name of the optimizer, and that of the problem without its protocol, where
    there are versions of their code.
    """

    found: FoundRun
    problem: str
    protocol: Protocol
    optimizer: str
    configuration: Configuration
    versions: tuple[str, str] = ("", "")

    @property
    def run(self) -> Run:
        """The run."""
        return self.found.run

    @property
    def order(self) -> tuple[str, str, int, int]:
        """Its place in the table; different for different runs."""
        return self.problem, self.optimizer, self.configuration.rank, self.run.seed


def placed_runs(
    found: Sequence[FoundRun],
    *,
    by: Collection[str],
    across_protocols: bool,
    tuned: Mapping[str, Collection[str]],
    by_version: bool = False,
) -> list[PlacedRun]:
    """Find out what the problems, optimizers and configurations of runs are called.

    Args:
        found: The runs.
        by: What splits an optimizer into several; see `load`.
        across_protocols: Whether all protocols of a problem are one; see `load`.
        tuned: By test problem, the parts of a protocol that a tuning searched over.
        by_version: Whether each version of the code of an optimizer or problem is another one.
    """
    runs = [each.run for each in found]
    measurements = {each: measurement_of(each) for each in {run.identity for run in runs}}
    # What is tuned on a problem, or named in the row, is no reason to tell results apart there.
    named = {"batch_size"}.intersection(by)
    protocols = [
        {}
        if across_protocols
        else protocol_of(
            measurements[run.identity], without=named.union(tuned.get(run.problem, ()))
        )
        for run in runs
    ]
    versions = names_of_versions(runs) if by_version else [("", "")] * len(runs)
    plain = [f"{run.problem}{version}" for run, (_, version) in zip(runs, versions, strict=True)]
    problems = problem_names(zip(plain, protocols, strict=True))
    names = displayed_names(runs, by=by)
    optimizers = [f"{name}{version}" for name, (version, _) in zip(names, versions, strict=True)]
    identities = defaultdict(set)
    for run, problem, optimizer in zip(runs, problems, optimizers, strict=True):
        identities[problem, optimizer].add(run.identity)
    differing = _differing(zip(problems, runs, strict=True), measurements)
    known = {
        (problem, optimizer): configurations_of(those, differing=differing[problem])
        for (problem, optimizer), those in identities.items()
    }
    return [
        PlacedRun(each, problem, protocol, name, known[problem, name][each.run.identity], version)
        for each, problem, protocol, name, version in zip(
            found, problems, protocols, optimizers, versions, strict=True
        )
    ]


def _differing(
    runs: Iterable[tuple[str, Run]], measurements: Mapping[str, Mapping[str, Any]]
) -> dict[str, set[str]]:
    """By problem, the names of `MEASUREMENT` that have several values in files of one format."""
    values: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for problem, layout, identity in {(name, run.format, run.identity) for name, run in runs}:
        for name, value in measurements[identity].items():
            values[problem, layout, name].add(json.dumps(value))
    differing: dict[str, set[str]] = defaultdict(set)
    for (problem, _, name), found in values.items():
        if len(found) > 1:
            differing[problem].add(name)
    return differing


def table(root: Path, placed: Sequence[PlacedRun]) -> pd.DataFrame:
    """The table of runs that `Results` describes."""
    runs = [each.run for each in placed]
    columns: dict[str, Any] = {
        "file": _objects(readable(os.path.join(root, each.found.file.name)) for each in placed),  # noqa: PTH118
        "is_reference": np.zeros(len(runs), dtype=bool),
        "problem": _objects(each.problem for each in placed),
        "testproblem": _objects(each.run.problem for each in placed),
        "role": _objects(each.found.role for each in placed),
        "protocol": _objects(dict(each.protocol) for each in placed),
        "optimizer": _objects(each.optimizer for each in placed),
        "optimizer_name": _objects(run.optimizer for run in runs),
        "configuration": _objects(each.configuration.text for each in placed),
        "hyperparameters": _objects(
            dict(each["hyperparameters"]) for each in _parsed(run.identity for run in runs)
        ),
        "weight_decay": np.array([run.weight_decay for run in runs], dtype=np.float64),
        "metric": _objects(_metrics(runs)),
        "has_diverged": np.array([run.has_diverged for run in runs], dtype=bool),
        "measurement": _objects(measurement_of(run.identity) for run in runs),
        "steps_per_epoch": _steps_per_epoch(runs),
        "hardware": _objects(_parsed(run.hardware for run in runs)),
        "versions": _objects(_parsed(run.versions for run in runs)),
        "code": _objects(map(code_of, runs)),
    }
    for name in _OF_THE_RUN:
        columns[name] = _objects(getattr(run, name) for run in runs)
    for name in _INTEGERS:
        columns[name] = np.array([getattr(run, name) for run in runs], dtype=np.int64)
    for name in _OPTIONAL_INTEGERS:
        columns[name] = pd.array([getattr(run, name) for run in runs], dtype="Int64")
    for place, name in enumerate(_ARRAYS):
        columns[name] = _objects(run.curves[place] for run in runs)
    # The cache keeps arrays of one dimension only.
    columns["iterates"] = columns["iterates"].map(_finite_points)
    columns["evaluated_at"] = _objects(map(_evaluated_at, runs))
    for name in _LOSSES:
        columns[name] = _with_untrained(runs, columns[name])
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


def _with_untrained(runs: Sequence[Run], losses: pd.Series[Any]) -> pd.Series[Any]:
    """Give runs whose first loss was not finite that of other untrained models of the problem."""
    before: dict[str, list[float]] = defaultdict(list)
    for run, curve in zip(runs, losses, strict=True):
        if curve is not None:
            before[run.problem].append(curve[0])
    # Without a curve such a run would not be among the seeds, and an optimizer that breaks before
    # the first epoch would look as good as its other seeds.
    return _objects(
        np.full(len(_evaluated_at(run)), np.mean(before[run.problem]))
        if curve is None and run.diverged_at_epoch == 0 and before[run.problem]
        else curve
        for run, curve in zip(runs, losses, strict=True)
    )


def _evaluated_at(run: Run) -> Floats:
    """The epochs trained at each evaluation."""
    at = run.curves[_ARRAYS.index("evaluated_at")]
    return np.arange(run.num_epochs + 1.0) if at is None else at


def _objects(values: Iterable[Any]) -> pd.Series[Any]:
    """A column of texts, arrays or dictionaries."""
    listed = list(values)
    # Filled one by one: of equally long arrays, pandas and NumPy would make a second dimension.
    column = np.empty(len(listed), dtype=object)
    for index, value in enumerate(listed):
        column[index] = value
    return pd.Series(column, dtype=object)


def _parsed(texts: Iterable[str]) -> list[dict[str, Any]]:
    """The content of JSON texts, each its own dictionary; most are equal."""
    known: dict[str, dict[str, Any]] = {}
    listed = list(texts)
    for text in listed:
        if text not in known:
            known[text] = json.loads(text)
    return [dict(known[text]) for text in listed]


def _finite_points(iterates: Floats | None) -> Floats | None:
    """Iterates as points, shape (evaluations, 2), up to the first that is not finite."""
    if iterates is None:
        return None
    points = iterates.reshape(-1, 2)
    lost = np.flatnonzero(~np.isfinite(points).all(axis=1))
    finite = points[: lost[0]] if len(lost) else points
    return finite if len(finite) else None


def _metrics(runs: Sequence[Run]) -> list[str]:
    """The metric of each run's problem, by its plugin where that is installed.

    Else it is the accuracy, if a run of the problem has one.
    """
    place = _ARRAYS.index("test_accuracies")
    with_accuracy = {run.problem for run in runs if run.curves[place] is not None}
    metric = {}
    for problem in {run.problem for run in runs}:
        metric[problem] = "accuracy" if problem in with_accuracy else "loss"
        # Results can be analyzed where the plugin of their problem is not installed.
        with suppress(DeepOBSError):
            # Only what plugins offer: reading a file must not import a module that it names.
            offer = registry().problems.find(problem)
            metric[problem] = metric[problem] if offer is None else offer.spec.metric
    return [metric[run.problem] for run in runs]


def _steps_per_epoch(runs: Sequence[Run]) -> Floats:
    """Steps of a whole epoch; NaN if not recorded, or as a run diverged within one."""
    # Of the run itself: those of another one with as large batches may hold out other examples.
    return np.array(
        [
            np.nan
            if run.steps is None or run.has_diverged or not run.num_epochs
            # Of a run that ended within an epoch, its file says it.
            else run.steps_per_epoch or run.steps / run.num_epochs
            for run in runs
        ],
        dtype=np.float64,
    )
