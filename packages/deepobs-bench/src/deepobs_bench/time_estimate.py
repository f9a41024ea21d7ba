"""How long the missing runs of an experiment will take."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

from deepobs.resources import usable_cores
from deepobs.runs import environment, store
from deepobs.runs.assembly import set_up_problem
from deepobs.runs.estimate import estimate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from deepobs.records import RunRecord, RunSpecification

_SECONDS_FOR_ALL = 10.0
_MOST_SECONDS_FOR_ONE = 0.5


class Kind(NamedTuple):
    """What the time of an epoch depends on: runs of one kind take as long as each other."""

    problem: str
    optimizer: str
    batch_size: int
    validation_size: int
    full_evaluation: bool
    fake_data_fraction: float
    dtype: str
    device: str


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast runs of a kind go.

    Attributes:
        epoch_seconds: An epoch and the evaluation after it.
        other_seconds: What comes before the first epoch.
    """

    epoch_seconds: float
    other_seconds: float

    def seconds_of(self, num_epochs: int) -> float:
        """What a run takes."""
        return self.other_seconds + num_epochs * self.epoch_seconds


@dataclass(frozen=True)
class Paces:
    """How fast all kinds of runs go, as far as that is known.

    Attributes:
        by_kind: What was recorded or measured.
    """

    by_kind: dict[Kind, Pace] = field(default_factory=dict)

    def seconds_of(self, specifications: Iterable[RunSpecification]) -> float | None:
        """What runs take one after the other; `None` where that is not known of one of them."""
        total = 0.0
        counts = Counter((kind_of(each), each.num_epochs) for each in specifications)
        for (kind, num_epochs), count in counts.items():
            pace = self._pace_of(kind)
            if pace is None:
                return None
            total += count * pace.seconds_of(num_epochs)
        return total

    def _pace_of(self, kind: Kind) -> Pace | None:
        """That of the kind, else of other optimizers in its place: most of them take as long."""
        if kind in self.by_kind:
            return self.by_kind[kind]
        alike = [
            pace
            for other, pace in self.by_kind.items()
            if other._replace(optimizer=kind.optimizer) == kind
        ]
        if not alike:
            return None
        return Pace(
            statistics.fmean(pace.epoch_seconds for pace in alike),
            statistics.fmean(pace.other_seconds for pace in alike),
        )


def kind_of(specification: RunSpecification) -> Kind:
    """The kind of a run."""
    return Kind(
        specification.testproblem,
        specification.optimizer_target,
        specification.batch_size,
        specification.validation_size,
        specification.full_evaluation,
        specification.fake_data_fraction,
        specification.dtype,
        specification.device,
    )


def paces_of(
    missing: Iterable[RunSpecification],
    found: Mapping[Kind, Collection[Path]],
    *,
    jobs: int,
    without: Collection[str] = (),
) -> Paces:
    """Learn how fast runs go: from results that are there, else from a few steps of each kind.

    All measurements together take ten seconds or little more, unless a few steps of one take
    longer; kinds for which no time is left go without one.

    Args:
        missing: The runs to be carried out.
        found: Result files that are there, by kind.
        jobs: How many runs share the cores of this machine.
        without: Problems that cannot be measured, as their data are missing.
    """
    wanted = {kind_of(each): each for each in missing}
    paces = {}
    for kind in wanted:
        recorded = next(filter(None, map(_pace_in, found.get(kind, ()))), None)
        if recorded is not None:
            paces[kind] = recorded
    unknown = [
        each
        for kind, each in wanted.items()
        if kind not in paces and each.testproblem not in without
    ]
    with _threads_of_a_job(jobs):
        paces |= _measured_in_turn(unknown)
    return Paces(paces)


def _measured_in_turn(specifications: Sequence[RunSpecification]) -> dict[Kind, Pace]:
    """Measure one run of each kind, as long as there is time."""
    deadline = time.perf_counter() + _SECONDS_FOR_ALL
    paces = {}
    set_up_before: set[str] = set()
    for each in specifications:
        if time.perf_counter() > deadline:
            break
        # Whatever stands in its way, the run will tell.
        with contextlib.suppress(Exception, SystemExit):
            if each.testproblem not in set_up_before:
                _set_up(each)  # once, as the first run of a process has to import things
                set_up_before.add(each.testproblem)
            seconds = min(_SECONDS_FOR_ALL / len(specifications), _MOST_SECONDS_FOR_ONE)
            paces[kind_of(each)] = _measured(each, seconds)
    return paces


def _pace_in(path: Path) -> Pace | None:
    """The pace of a run that is there; `None` of one that ended early."""
    try:
        record: RunRecord = store.read(path)
    except (OSError, ValueError):
        return None
    if record.status != "completed" or not record.train_seconds:
        return None
    evaluation = statistics.fmean(record.eval_seconds)
    return Pace(statistics.fmean(record.train_seconds) + evaluation, evaluation)


def _set_up(specification: RunSpecification) -> None:
    with environment.reproducible(specification):
        set_up_problem(specification)


def _measured(specification: RunSpecification, seconds: float) -> Pace:
    estimated = estimate(specification, seconds=seconds)
    # Estimates are for data of the real size.
    share = specification.fake_data_fraction or 1.0
    return Pace(
        share * estimated.epoch_seconds,
        estimated.set_up_seconds + share * estimated.evaluation_seconds,
    )


@contextlib.contextmanager
def _threads_of_a_job(jobs: int) -> Iterator[None]:
    """Compute with as many threads as each of several runs will have."""
    before = torch.get_num_threads()
    if jobs > 1:
        torch.set_num_threads(max(1, usable_cores() // jobs))
    try:
        yield
    finally:
        torch.set_num_threads(before)
