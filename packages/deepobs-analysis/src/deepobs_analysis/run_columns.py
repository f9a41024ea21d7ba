"""Runs as columns: of each field the different values, and which of them every run has.

A study has a hundred thousand runs that share most of what describes them. What depends on that
alone is found out once for all runs that share it, and what is a number is computed by NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepobs_analysis.result_files import Found
from deepobs_analysis.result_formats import CURVES, Description, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deepobs_analysis.measures.arrays import Floats

Integers: TypeAlias = NDArray[np.int64]
Objects: TypeAlias = NDArray[np.object_]

ARRAYS = (*CURVES, "train_seconds", "iterates", "evaluated_at", "gradient_norms")
"""The names of `Run.curves`, in their order."""

_OF_ONE_RUN = tuple(name for name in Run._fields if name not in ("description", "curves"))
_OF_SEVERAL = Description._fields
FIELDS = (*_OF_SEVERAL, *_OF_ONE_RUN)
"""The names of all columns."""
NOT_MEASURED = -1
_MOST_COMBINATIONS = 2**62


class Column(NamedTuple):
    """The different values of a field, and for each run the index of its own."""

    values: list[Any]
    where: Integers

    def of_each(self) -> Objects:
        """The value of each run."""
        return objects(self.values)[self.where]

    @property
    def used(self) -> Integers:
        """The indices of the values that some run has: parts of runs know those of others, too."""
        return np.flatnonzero(np.bincount(self.where, minlength=len(self.values)))


@dataclass(frozen=True, eq=False, slots=True)
class Runs:
    """Runs and their files.

    Attributes:
        names: The relative path of each file.
        stamps: What tells whether each file was changed, shape (runs, 3): all of `Found` but names.
        columns: Those of `FIELDS`.
        numbers: The curves of all runs, those of a run one after the other.
        starts: Where those of each run begin.
        lengths: How long they are, shape (runs, curves of a run); `NOT_MEASURED` without.
    """

    names: Objects
    stamps: Integers
    columns: dict[str, Column]
    numbers: Floats
    starts: Integers
    lengths: Integers

    def __len__(self) -> int:
        return len(self.names)

    def file(self, row: int) -> Found:
        """The file of a run."""
        return Found(self.names[row], *self.stamps[row].tolist())

    def of_each(self, name: str) -> Objects:
        """The value of a field of each run."""
        return self.columns[name].of_each()

    def curves(self, name: str) -> list[Floats | None]:
        """One of `ARRAYS` of each run; `None` without."""
        place = ARRAYS.index(name)
        lengths = self.lengths[:, place]
        if (lengths == NOT_MEASURED).all():
            return [None] * len(self)
        starts = self.starts + np.maximum(self.lengths[:, :place], 0).sum(axis=1)
        return [
            None if length == NOT_MEASURED else self.numbers[start : start + length]
            for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]

    def part(self, rows: Any) -> Runs:
        """Some of the runs, by their indices or by a mask; they may be repeated."""
        return Runs(
            self.names[rows],
            self.stamps[rows],
            {name: Column(each.values, each.where[rows]) for name, each in self.columns.items()},
            self.numbers,
            self.starts[rows],
            self.lengths[rows],
        )

    def with_column(self, name: str, values: Iterable[Any]) -> Runs:
        """The runs with other values of a field."""
        return replace(self, columns={**self.columns, name: column(values)})

    def combinations(self, *names: str) -> tuple[list[tuple[Any, ...]], Integers]:
        """The different combinations of some fields, and for each run the index of its own."""
        columns = [self.columns[name] for name in names]
        firsts, where = distinct([(each.where, len(each.values)) for each in columns])
        each_field = [objects(each.values)[each.where[firsts]].tolist() for each in columns]
        return list(zip(*each_field, strict=True)), where


def column(values: Iterable[Any]) -> Column:
    """The column of a field, given the value of each run."""
    places: dict[Any, int] = {}
    where = [places.setdefault(value, len(places)) for value in values]
    return Column(list(places), np.array(where, dtype=np.int64))


def columns_of(runs: Sequence[tuple[Found, Run]]) -> Runs:
    """Runs that were read from their files as columns."""
    fields = zip(*(run for _, run in runs), strict=True) if runs else ([] for _ in Run._fields)
    descriptions, *others, curves = fields
    lengths = np.array(
        [[NOT_MEASURED if each is None else len(each) for each in those] for those in curves],
        dtype=np.int64,
    ).reshape(-1, len(ARRAYS))
    measured = [each for those in curves for each in those if each is not None]
    return Runs(
        objects([file.name for file, _ in runs]),
        stamps_of(file for file, _ in runs),
        {
            **_shared_columns(descriptions),
            **{name: column(values) for name, values in zip(_OF_ONE_RUN, others, strict=True)},
        },
        np.concatenate(measured) if measured else np.empty(0),
        starts_of(lengths),
        lengths,
    )


def _shared_columns(descriptions: Sequence[Description]) -> dict[str, Column]:
    """The columns of what runs share, given the description of each run."""
    # By identity: most runs have one of few objects, whose hashes would take longer.
    different = {id(each): each for each in descriptions}
    where = column(map(id, descriptions)).where
    fields = zip(*different.values(), strict=True) if different else ([] for _ in _OF_SEVERAL)
    of_different = map(column, fields)
    return {
        name: Column(each.values, each.where[where])
        for name, each in zip(_OF_SEVERAL, of_different, strict=True)
    }


def joined(parts: Sequence[Runs]) -> Runs:
    """The runs of several parts, one part after the other."""
    offsets = np.cumsum([0, *(len(part.numbers) for part in parts)])
    return Runs(
        np.concatenate([part.names for part in parts]),
        np.concatenate([part.stamps for part in parts]),
        {name: _joined_columns([part.columns[name] for part in parts]) for name in FIELDS},
        np.concatenate([part.numbers for part in parts]),
        np.concatenate(
            [part.starts + offset for part, offset in zip(parts, offsets, strict=False)]
        ),
        np.concatenate([part.lengths for part in parts]),
    )


def stamps_of(files: Iterable[Found]) -> Integers:
    """What tells whether files were changed, as in `Runs`."""
    return np.array([file[1:] for file in files], dtype=np.int64).reshape(-1, 3)


def starts_of(lengths: Integers) -> Integers:
    """Where the curves of runs begin that lie one after the other."""
    measured: Integers = np.maximum(lengths, 0).sum(axis=1)
    return np.cumsum(measured) - measured


def distinct(columns: Iterable[tuple[Integers, int]]) -> tuple[Integers, Integers]:
    """Find the rows that differ from all before, and for each row the number of its own.

    Args:
        columns: Integers of each row from 0 on, and how many different ones there can be.
    """
    codes, count = np.zeros(1, dtype=np.int64), 1
    for where, different in columns:
        if count * max(different, 1) > _MOST_COMBINATIONS:
            _, codes = np.unique(codes, return_inverse=True)
            count = int(codes.max()) + 1
        codes, count = codes * different + where, count * max(different, 1)
    _, firsts, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return firsts, inverse


def objects(values: Iterable[Any]) -> Objects:
    """An array of texts, arrays or dictionaries."""
    # Not by `np.array`: of equally long arrays, it would make a second dimension.
    filled: Objects = np.fromiter(values, dtype=object)
    return filled


def _joined_columns(columns: Sequence[Column]) -> Column:
    places: dict[Any, int] = {}
    where = []
    for each in columns:
        used = each.used
        place_of = np.zeros(len(each.values), dtype=np.int64)
        place_of[used] = [
            places.setdefault(each.values[value], len(places)) for value in used.tolist()
        ]
        where.append(place_of[each.where])
    return Column(list(places), np.concatenate(where))
