"""Reading a directory of results into one table."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from deepobs.errors import DeepOBSError, MissingDataError
from deepobs.plugins import registry
from deepobs.resources import gc_paused
from deepobs_analysis import result_files, results_cache
from deepobs_analysis.code_versions import code_of, older_code
from deepobs_analysis.configurations import (
    Configuration,
    configurations_of,
    displayed_names,
    measurement_of,
)
from deepobs_analysis.result_files import Excluded, Found, readable
from deepobs_analysis.result_formats import Run
from deepobs_analysis.results import CURVES, Results, SkippedFile
from deepobs_analysis.run_protocols import problem_names, protocol_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs_analysis.code_versions import CodeChoice
    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.result_files import Content
    from deepobs_analysis.run_protocols import Protocol

_MOMENT = re.compile(r"__(\d{4}(?:-\d+){5,6})\.json$")
_ARRAYS = (*CURVES, "train_seconds", "iterates")
_LOSSES = tuple(name for name in CURVES if name.endswith("losses"))

COLUMNS = (
    *("file", "format", "is_reference", "problem", "testproblem", "optimizer", "configuration"),
    *("hyperparameters", "measurement", "protocol", "schedule", "seed", "batch_size", "num_epochs"),
    *("weight_decay", "metric"),
    *("has_diverged", "diverged_at_epoch", *_ARRAYS, "steps", "gradient_evaluations"),
    *("steps_per_epoch", "device", "hardware", "versions", "command", "started_at", "code"),
)
"""The columns of `Results.runs`, in their order."""

_OF_THE_RUN = ("format", "schedule", "device", "command", "started_at")
_INTEGERS = ("seed", "batch_size", "num_epochs")
_OPTIONAL_INTEGERS = ("diverged_at_epoch", "steps", "gradient_evaluations")


class _Placed(NamedTuple):
    """A run among the others, with what its problem, optimizer and configuration are called."""

    file: Found
    run: Run
    problem: str
    protocol: Protocol
    optimizer: str
    configuration: Configuration

    @property
    def order(self) -> tuple[str, str, int, int]:
        """Its place in the table; different for different runs."""
        return self.problem, self.optimizer, self.configuration.rank, self.run.seed

    @property
    def moment(self) -> tuple[str, int, str]:
        """When its result was written."""
        return _moment(self.file)


def _moment(file: Found) -> tuple[str, int, str]:
    # The name says it even of copies, whose time of change is that of copying.
    match = _MOMENT.search(file.name)
    return match[1] if match else "", file.modified, file.name


def load(
    path: str | os.PathLike[str],
    *,
    cache: bool = True,
    code: CodeChoice = "newest",
    across_protocols: bool = False,
) -> Results:
    """Read the results of runs.

    Runs whose files lack the metric of their problem are included: DeepOBS 1.2 dropped all
    accuracies of a run that had one of 0. Their accuracies are `None`.

    Args:
        path: A directory, searched recursively, or one file. Files of DeepOBS 1.1, 1.2 and of this
            version may be mixed.
        cache: Whether to keep what was read from a directory in the user's cache, and to read only
            the files that changed since.
        code: Where results come from several versions of one's own code, "newest" skips those of
            the older ones, and "all" keeps them as other configurations.
        across_protocols: Whether runs of a problem with other numbers of epochs, batch sizes or
            training examples are of the same problem. By default, the name of the problem says
            which is which: "digits_mlp (epochs = 10)".

    Returns:
        The runs, and which files were skipped and why: no single file is a reason to raise.

    Raises:
        MissingDataError: There is no such file or directory.
    """
    root = Path(path)
    unread: dict[str, str] = {}
    # The collector would look for cycles among millions of numbers of JSON, which have none, and
    # reading would take twice as long.
    with gc_paused():
        if root.is_dir():
            found = list(result_files.walk(root, unread))
            contents = _read_changed(root, found, unread) if cache else _read(root, found, unread)
            return _assemble(root, contents, unread, code, across_protocols)
        if root.is_file():
            contents = _read(root.parent, [result_files.described(root)], unread)
            return _assemble(root.parent, contents, unread, code, across_protocols)
    raise MissingDataError(
        f"There are no results at {path}: no such file or directory. Give the directory that "
        "`deepobs run` or `deepobs bench` wrote results to."
    )


def _read_changed(
    root: Path, found: Iterable[Found], unread: dict[str, str]
) -> dict[Found, Content]:
    known = results_cache.read(root)
    fresh = _read(root, [file for file in found if file not in known], unread)
    # In the order in which files are found: the order of rows, and so of equal results, must not
    # depend on what the cache held.
    either = {**known, **fresh}
    contents = {file: either[file] for file in found if file in either}
    if contents.keys() != known.keys():
        results_cache.write(root, contents)
    return contents


def _read(root: Path, found: Iterable[Found], unread: dict[str, str]) -> dict[Found, Content]:
    contents = {}
    for file in found:
        try:
            contents[file] = result_files.read(root / file.name, file)
        except OSError as error:
            unread[file.name] = result_files.unreadable(error)
    return contents


def _assemble(
    root: Path,
    contents: Mapping[Found, Content],
    unread: Mapping[str, str],
    code: CodeChoice,
    across_protocols: bool,
) -> Results:
    """Put all runs of a directory into one table, given what could not be read, and why."""
    runs = {file: run for file, run in contents.items() if isinstance(run, Run)}
    done = {run.run_id for run in runs.values()}
    outdated: dict[Found, str] = {}
    if code == "newest":
        outdated = older_code(runs, {file: _moment(file) for file in runs})
        runs = {file: run for file, run in runs.items() if file not in outdated}
    latest, older = _latest(_placed(runs, across_protocols=across_protocols))
    skipped = {
        **unread,
        **_reasons(contents, done),
        **{file.name: reason for file, reason in outdated.items()},
        **{each.file.name: "it is an older result of the same run" for each in older},
    }
    return Results(
        _table(root, sorted(latest, key=lambda placed: placed.order)),
        tuple(SkippedFile(readable(name), reason) for name, reason in sorted(skipped.items())),
    )


def _placed(runs: Mapping[Found, Run], *, across_protocols: bool) -> list[_Placed]:
    measurements = {
        identity: measurement_of(identity) for identity in {run.identity for run in runs.values()}
    }
    protocols = [
        {} if across_protocols else protocol_of(measurements[run.identity]) for run in runs.values()
    ]
    plain = [run.problem for run in runs.values()]
    problems = problem_names(zip(plain, protocols, strict=True))
    optimizers = displayed_names(list(runs.values()))
    identities = defaultdict(set)
    for run, problem, optimizer in zip(runs.values(), problems, optimizers, strict=True):
        identities[problem, optimizer].add(run.identity)
    differing = _differing(zip(problems, runs.values(), strict=True), measurements)
    known = {
        (problem, optimizer): configurations_of(those, differing=differing[problem])
        for (problem, optimizer), those in identities.items()
    }
    return [
        _Placed(file, run, problem, protocol, optimizer, known[problem, optimizer][run.identity])
        for (file, run), problem, protocol, optimizer in zip(
            runs.items(), problems, protocols, optimizers, strict=True
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


def _latest(placed: Sequence[_Placed]) -> tuple[Iterable[_Placed], list[_Placed]]:
    """The latest result of every run, and the others."""
    latest: dict[tuple[str, str, int, int], _Placed] = {}
    older = []
    for each in sorted(placed, key=lambda placed: placed.moment):
        if each.order in latest:
            older.append(latest[each.order])
        latest[each.order] = each
    return latest.values(), older


def _reasons(contents: Mapping[Found, Content], done: set[str]) -> dict[str, str]:
    """Why files hold no run, except for runs that failed or were interrupted and then completed."""
    return {
        file.name: content.reason
        for file, content in contents.items()
        if isinstance(content, Excluded) and not (content.run_id and content.run_id in done)
    }


def _table(root: Path, placed: Sequence[_Placed]) -> pd.DataFrame:
    """The table of runs that `Results` describes."""
    runs = [each.run for each in placed]
    columns: dict[str, Any] = {
        "file": _objects(readable(os.path.join(root, each.file.name)) for each in placed),  # noqa: PTH118
        "is_reference": np.zeros(len(runs), dtype=bool),
        "problem": _objects(each.problem for each in placed),
        "testproblem": _objects(each.run.problem for each in placed),
        "protocol": _objects(dict(each.protocol) for each in placed),
        "optimizer": _objects(each.optimizer for each in placed),
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
        np.full(run.num_epochs + 1, np.mean(before[run.problem]))
        if curve is None and run.diverged_at_epoch == 0 and before[run.problem]
        else curve
        for run, curve in zip(runs, losses, strict=True)
    )


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
            else run.steps / run.num_epochs
            for run in runs
        ],
        dtype=np.float64,
    )
