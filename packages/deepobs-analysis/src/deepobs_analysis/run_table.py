"""The table of runs: what their problems, optimizers and configurations are called, and columns."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepobs.errors import DeepOBSError
from deepobs.plugins import registry
from deepobs_analysis.code_versions import code_of, names_of_versions
from deepobs_analysis.configurations import (
    Identity,
    Kind,
    NamedConfigurations,
    displayed_names,
    measurement_of,
)
from deepobs_analysis.result_files import path_of, readable
from deepobs_analysis.results import CURVES
from deepobs_analysis.run_columns import ARRAYS, column, distinct, objects
from deepobs_analysis.run_protocols import problem_names, protocol_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.run_columns import Column, Integers, Objects, Runs

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
    *("has_diverged", "diverged_at_epoch", *ARRAYS, "steps", "gradient_evaluations"),
    "test_examples",
    *("steps_per_epoch", "device", "hardware", "versions", "command", "started_at", "code"),
)
"""The columns of `Results.runs`, in their order."""

# The fields of a kind that do not depend on hyperparameters.
_SHARED = 7
_OF_THE_RUN = ("format", "schedule", "device", "command", "started_at")
_INTEGERS = ("seed", "batch_size", "num_epochs")
_OPTIONAL_INTEGERS = ("diverged_at_epoch", "steps", "gradient_evaluations", "test_examples")


@dataclass(frozen=True, eq=False, slots=True)
class PlacedRuns:
    """Runs in the order of the table, with what their problems and optimizers are called.

    Attributes:
        runs: The runs.
        roles: The role of each in tunings: "report", "selection" or empty.
        problems: What the problem of each is called.
        protocols: The protocol of each.
        optimizers: What the optimizer of each is called.
        configurations: The configuration of each, in words.
        versions: What ends the name of the optimizer of each, and that of its problem without the
            protocol, where there are versions of their code.
        order: Problem, optimizer, configuration and seed as numbers, by which runs are sorted,
            shape (runs, 4): different for different runs.
    """

    runs: Runs
    roles: Objects
    problems: Objects
    protocols: Objects
    optimizers: Objects
    configurations: Objects
    versions: Objects
    order: Integers

    def part(self, rows: Any) -> PlacedRuns:
        """Some of the runs, by their indices or by a mask."""
        return PlacedRuns(
            self.runs.part(rows), *(getattr(self, name)[rows] for name in self.__slots__[1:])
        )


def placed_runs(
    runs: Runs,
    roles: Objects,
    *,
    by: Collection[str],
    across_protocols: bool,
    tuned: Mapping[str, Collection[str]],
    by_version: bool,
    named: NamedConfigurations,
) -> PlacedRuns:
    """Find out what the problems, optimizers and configurations of runs are called, and sort them.

    Args:
        runs: The runs.
        roles: The role of each in tunings.
        by: What splits an optimizer into several; see `load`.
        across_protocols: Whether all protocols of a problem are one; see `load`.
        tuned: By test problem, the parts of a protocol that a tuning searched over.
        by_version: Whether each version of the code of an optimizer or problem is another one.
        named: Configurations that were named before.
    """
    fields = Kind._fields if by else Kind._fields[:_SHARED]
    combinations, kind_of = runs.combinations(*fields)
    kinds = list(itertools.starmap(Kind, combinations))
    measurements = {rest: measurement_of(rest) for rest in {kind.rest for kind in kinds}}
    # What is tuned on a problem, or named in the row, is no reason to tell results apart there.
    in_the_row = {"batch_size"}.intersection(by)
    protocols = [
        {}
        if across_protocols
        else protocol_of(
            measurements[kind.rest], without=in_the_row.union(tuned.get(kind.problem, ()))
        )
        for kind in kinds
    ]
    versions = names_of_versions(kinds) if by_version else [("", "")] * len(kinds)
    plain = [f"{kind.problem}{version}" for kind, (_, version) in zip(kinds, versions, strict=True)]
    problems = problem_names(zip(plain, protocols, strict=True))
    names = displayed_names(kinds, by=by)
    optimizers = [f"{name}{version}" for name, (version, _) in zip(names, versions, strict=True)]
    differing = _differing(zip(problems, kinds, strict=True), measurements)
    configurations, ranks = _configurations(
        runs, column(zip(problems, optimizers, strict=True)), kind_of, differing, named
    )
    order = np.column_stack(
        [
            _alphabetical(problems)[kind_of],
            _alphabetical(optimizers)[kind_of],
            ranks,
            runs.of_each("seed").astype(np.int64),
        ]
    )
    placed = PlacedRuns(
        runs,
        roles,
        objects(problems)[kind_of],
        objects(protocols)[kind_of],
        objects(optimizers)[kind_of],
        configurations,
        objects(versions)[kind_of],
        order,
    )
    return placed.part(np.lexsort(order.T[::-1]))


def _alphabetical(names: Sequence[str]) -> Integers:
    """The place of each name among the different ones."""
    return np.unique(objects(names), return_inverse=True)[1] if names else np.empty(0, np.int64)


def _configurations(
    runs: Runs,
    pairs: Column,
    kind_of: Integers,
    differing: Mapping[str, Collection[str]],
    named: NamedConfigurations,
) -> tuple[Objects, Integers]:
    """The configuration of each run in words, and its rank among those of its optimizer.

    Args:
        runs: The runs.
        pairs: What the problem and the optimizer of each kind of runs are called.
        kind_of: The kind of each run.
        differing: By problem, see `configurations_of`.
        named: Configurations that were named before.
    """
    pair_of = pairs.where[kind_of] if len(runs) else np.empty(0, np.int64)
    fields = [runs.columns[name] for name in Identity._fields]
    in_order = [(_alphabetical(each.values)[each.where], len(each.values)) for each in fields]
    # The pairs are sorted, and the identities of each.
    firsts, where = distinct([(pair_of, len(pairs.values)), *in_order])
    digests = np.hstack([_digests(each.values)[each.where[firsts]] for each in fields])
    values = [each.of_each()[firsts] for each in fields]
    ends = np.flatnonzero(np.diff(pair_of[firsts], append=-1)) + 1
    texts: list[str] = []
    ranks: list[int] = []
    begin = 0
    for end in ends.tolist():
        problem, _ = pairs.values[pair_of[firsts[begin]]]
        identities = zip(*(each[begin:end] for each in values), strict=True)
        known = named.of(digests[begin:end].tobytes(), identities, differing[problem])
        texts += known[0]
        ranks += known[1]
        begin = end
    return objects(texts)[where], np.array(ranks, dtype=np.int64)[where]


def _digests(texts: Sequence[str]) -> NDArray[np.uint8]:
    """The SHA-256 of each text, shape (texts, 32)."""
    hashes = b"".join(hashlib.sha256(text.encode()).digest() for text in texts)
    return np.frombuffer(hashes, dtype=np.uint8).reshape(-1, 32)


def _differing(
    kinds: Iterable[tuple[str, Kind]], measurements: Mapping[str, Mapping[str, Any]]
) -> dict[str, set[str]]:
    """By problem, the names of `MEASUREMENT` that have several values in files of one format."""
    values: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for problem, rest in {(name, kind.rest) for name, kind in kinds}:
        layout = json.loads(rest)["format"]
        for name, value in measurements[rest].items():
            values[problem, layout, name].add(json.dumps(value))
    differing: dict[str, set[str]] = defaultdict(set)
    for (problem, _, name), found in values.items():
        if len(found) > 1:
            differing[problem].add(name)
    return differing


def table(root: Path, placed: PlacedRuns) -> pd.DataFrame:
    """The table of runs that `Results` describes."""
    runs = placed.runs
    columns: dict[str, Any] = {
        "file": _paths(root, runs.names),
        "is_reference": np.zeros(len(runs), dtype=bool),
        "problem": placed.problems,
        "testproblem": runs.of_each("problem"),
        "role": placed.roles,
        "protocol": placed.protocols,
        "optimizer": placed.optimizers,
        "optimizer_name": runs.of_each("optimizer"),
        "configuration": placed.configurations,
        # Their own, as these are what people take apart; the others are shared, which is faster.
        "hyperparameters": _own(_dictionaries(runs.columns["hyperparameters"], json.loads)),
        "weight_decay": runs.of_each("weight_decay").astype(np.float64),
        "has_diverged": runs.of_each("has_diverged").astype(bool),
        "measurement": _dictionaries(runs.columns["rest"], measurement_of),
        "steps_per_epoch": _steps_per_epoch(runs),
        "hardware": _dictionaries(runs.columns["hardware"], json.loads),
        "versions": _dictionaries(runs.columns["versions"], json.loads),
        "code": _dictionaries(runs.columns["rest"], code_of),
    }
    for name in _OF_THE_RUN:
        columns[name] = runs.of_each(name)
    for name in _INTEGERS:
        columns[name] = runs.of_each(name).astype(np.int64)
    for name in _OPTIONAL_INTEGERS:
        columns[name] = _optional_integers(runs.columns[name])
    curves: dict[str, Any] = {name: runs.curves(name) for name in ARRAYS}
    columns["metric"] = _metrics(columns["testproblem"], curves["test_accuracies"])
    # The cache keeps arrays of one dimension only.
    curves["iterates"] = list(map(_finite_points, curves["iterates"]))
    curves["evaluated_at"] = _evaluated_at(columns["num_epochs"], curves["evaluated_at"])
    for name in _LOSSES:
        curves[name] = _with_untrained(placed.runs, curves[name], curves["evaluated_at"])
    columns |= {name: objects(those) for name, those in curves.items()}
    return pd.DataFrame(
        {
            name: pd.Series(columns[name], dtype=object)
            if columns[name].dtype.kind == "O"
            else columns[name]
            for name in COLUMNS
        }
    )


def _paths(root: Path, names: Objects) -> Objects:
    paths: Objects = path_of(str(root), "") + names
    return paths if "".join(paths).isascii() else objects(map(readable, paths))


def _with_untrained(
    runs: Runs, losses: list[Floats | None], evaluated_at: Sequence[Floats]
) -> list[Floats | None]:
    """Give runs whose first loss was not finite that of other untrained models of the problem."""
    diverged_at_once = np.flatnonzero(runs.of_each("diverged_at_epoch") == 0).tolist()
    lost = [row for row in diverged_at_once if losses[row] is None]
    if not lost:
        return losses
    problems = runs.of_each("problem")
    before: dict[str, list[float]] = defaultdict(list)
    for problem, curve in zip(problems, losses, strict=True):
        if curve is not None:
            before[problem].append(curve[0])
    # Without a curve such a run would not be among the seeds, and an optimizer that breaks before
    # the first epoch would look as good as its other seeds.
    for row in lost:
        if before[problems[row]]:
            losses[row] = np.full(len(evaluated_at[row]), np.mean(before[problems[row]]))
    return losses


def _evaluated_at(num_epochs: Integers, recorded: list[Floats | None]) -> Objects:
    """The epochs trained at each evaluation."""
    evaluated_at = objects(recorded)
    is_missing = np.array([each is None for each in recorded], dtype=bool)
    for count in np.unique(num_epochs[is_missing]).tolist():
        epochs = np.arange(count + 1.0)
        epochs.flags.writeable = False  # as the runs share it
        rows = np.flatnonzero(is_missing & (num_epochs == count))
        evaluated_at[rows] = objects([epochs] * len(rows))
    return evaluated_at


def _optional_integers(values: Column) -> pd.api.extensions.ExtensionArray:
    data = np.array([value or 0 for value in values.values], dtype=np.int64)
    mask = np.array([value is None for value in values.values], dtype=bool)
    return pd.arrays.IntegerArray(data[values.where], mask[values.where])


def _dictionaries(texts: Column, read: Callable[[str], dict[str, Any]]) -> Objects:
    """What a function makes of the text of each run, once for all that have the same."""
    known = np.empty(len(texts.values), dtype=object)
    known[texts.used] = objects(read(texts.values[place]) for place in texts.used.tolist())
    shared: Objects = known[texts.where]
    return shared


def _own(dictionaries: Objects) -> Objects:
    """A dictionary for each run, of its own."""
    return objects(map(dict.copy, dictionaries.tolist()))


def _finite_points(iterates: Floats | None) -> Floats | None:
    """Iterates as points, shape (evaluations, 2), up to the first that is not finite."""
    if iterates is None:
        return None
    points = iterates.reshape(-1, 2)
    lost = np.flatnonzero(~np.isfinite(points).all(axis=1))
    finite = points[: lost[0]] if len(lost) else points
    return finite if len(finite) else None


def _metrics(problems: Objects, accuracies: Sequence[Floats | None]) -> Objects:
    """The metric of each run's problem, by its plugin where that is installed.

    Else it is the accuracy, if a run of the problem has one.
    """
    with_accuracy = {
        problem for problem, curve in zip(problems, accuracies, strict=True) if curve is not None
    }
    metric = {}
    for problem in set(problems):
        metric[problem] = "accuracy" if problem in with_accuracy else "loss"
        # Results can be analyzed where the plugin of their problem is not installed.
        with suppress(DeepOBSError):
            # Only what plugins offer: reading a file must not import a module that it names.
            offer = registry().problems.find(problem)
            metric[problem] = metric[problem] if offer is None else offer.spec.metric
    return objects(metric[problem] for problem in problems)


def _steps_per_epoch(runs: Runs) -> Floats:
    """Steps of a whole epoch; NaN if not recorded, or as a run diverged within one."""
    fields = ("steps", "has_diverged", "num_epochs", "steps_per_epoch")
    kinds, where = runs.combinations(*fields)
    # Of the run itself: those of another one with as large batches may hold out other examples.
    of_kinds = [
        np.nan
        if steps is None or has_diverged or not num_epochs
        # Of a run that ended within an epoch, its file says it.
        else steps_per_epoch or steps / num_epochs
        for steps, has_diverged, num_epochs, steps_per_epoch in kinds
    ]
    return np.array(of_kinds, dtype=np.float64)[where]
