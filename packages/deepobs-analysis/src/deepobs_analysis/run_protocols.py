"""The protocol of a run: what runs of a problem have to share for their performances to compare."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from deepobs.run_specifications import EVERY_EPOCH
from deepobs_analysis import json_values
from deepobs_analysis.json_values import NoResultError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    Protocol: TypeAlias = dict[str, Any]
    """Values by the names of `PARTS`."""

PARTS = {
    "num_epochs": "epochs",
    "max_steps": "max steps",
    "batch_size": "batch size",
    "validation_size": "validation size",
    "train_fraction": "train fraction",
    "evaluate_every": "evaluate every",
    "precision": "precision",
    "accumulate": "micro-batches",
    "compile_mode": "compile",
    "channels_last": "channels last",
}
"""The parts of a protocol, and what they are called."""

OF_THE_PROBLEM = ("problem", "dataset")
"""The parts of a run that are not its optimizer's, in `Results.runs["code"]`."""

# Of the original, and so of formats that do not record them: a problem is not another one because
# a file says less.
_UNLESS_RECORDED = {
    "validation_size": 0,
    "train_fraction": 1.0,
    "evaluate_every": EVERY_EPOCH,
    "precision": "full",
    "accumulate": 1,
    "compile_mode": "none",
    "channels_last": False,
}


def protocol_of(measurement: Mapping[str, Any], *, without: Collection[str] = ()) -> Protocol:
    """The protocol of a run, given what its performances depend on besides the optimizer.

    Args:
        measurement: A value of the column `measurement` of `Results.runs`.
        without: Parts that are no part of it, such as a batch size that was tuned.
    """
    return {
        name: measurement.get(name, _UNLESS_RECORDED.get(name))
        for name in PARTS
        if name not in without
    }


def problem_names(runs: Iterable[tuple[str, Protocol]]) -> list[str]:
    """What the problem of each run is called: with its protocol, where there are several.

    Args:
        runs: The test problem and the protocol of each.
    """
    listed = list(runs)
    values: dict[tuple[str, str], set[Any]] = defaultdict(set)
    for problem, protocol in listed:
        for name, value in protocol.items():
            values[problem, name].add(value)
    return [
        _with_protocol(
            problem,
            [
                f"{PARTS[name]} = {_written(value)}"
                for name, value in protocol.items()
                if len(values[problem, name]) > 1 and value is not None
            ],
        )
        for problem, protocol in listed
    ]


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}"


def _with_protocol(problem: str, parts: list[str]) -> str:
    return f"{problem} ({', '.join(parts)})" if parts else problem


def several_protocols(runs: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """The test problems that were run under several protocols, with the names of each there."""
    versions = runs["code"].map(version_of_problem)
    names = runs.groupby([runs["testproblem"], versions])["problem"].unique()
    for problem, those in zip(names.index.get_level_values("testproblem"), names, strict=True):
        if len(those) > 1:
            yield str(problem), sorted(those)


def problems_of_other_data(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    """The test problems whose data are not the same in two sets of runs, as far as files tell.

    Args:
        ours: As in `Results.runs`; the first run of each problem stands for all of them.
        theirs: The same.
    """
    first, second = (runs.groupby("testproblem")["file"].first() for runs in (ours, theirs))
    shared = first.index.intersection(second.index)
    pairs = {str(name): {_data_of(first[name]), _data_of(second[name])} - {""} for name in shared}
    return [name for name, found in pairs.items() if len(found) > 1]


def _data_of(file: str) -> str:
    """The fingerprint of the data of a run, "" where none was recorded."""
    try:
        described = json_values.parsed(Path(file).read_bytes()).get("dataset")
    except (OSError, NoResultError, AttributeError):
        return ""
    return str(described.get("fingerprint") or "") if isinstance(described, dict) else ""


def with_parts(runs: pd.DataFrame, parts: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """Leave only some parts of the protocols of runs.

    Args:
        runs: As in `Results.runs`.
        parts: The parts to leave, by test problem.
    """
    protocols, configurations = [], []
    for problem, name, protocol, configuration in zip(
        *(runs[column] for column in ("testproblem", "problem", "protocol", "configuration")),
        strict=True,
    ):
        left = {part: value for part, value in protocol.items() if part in parts[problem]}
        # What told these runs apart must still do so, or their seeds would be averaged.
        told = name[len(problem) + 2 : -1] if left != protocol else ""
        protocols.append(left)
        configurations.append(f"{configuration}, {told}" if told else configuration)
    return runs.assign(
        protocol=pd.Series(protocols, index=runs.index, dtype=object),
        configuration=pd.Series(configurations, index=runs.index, dtype=object),
    )


def version_of_problem(code: Mapping[str, str]) -> str:
    """The fingerprint of a problem that is one's own, and of its data set; see `code_of`."""
    return "+".join(code[part] for part in OF_THE_PROBLEM if part in code)
