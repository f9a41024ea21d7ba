"""What of a plan is done, what is pending, which data it needs, and how long it will take."""

from __future__ import annotations

import contextlib
import operator
import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from deepobs import config
from deepobs.plugins import registry
from deepobs.resources import usable_cores
from deepobs.runs import environment, store
from deepobs.runs.assembly import set_up_problem
from deepobs.runs.timing import pace_of
from deepobs_bench.result_index import ResultIndex

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from deepobs.data.base import DataStatus
    from deepobs.records import RunSpecification
    from deepobs_bench.plan import Plan

    Kind = tuple[str, tuple[Any, ...]]
    """The class of the optimizer, and the rest of what the time of an epoch depends on."""

    Paces = dict[Kind, tuple[float, float]]
    """Seconds of an epoch with its evaluation, and seconds before the first epoch."""

_SECONDS_FOR_ALL = 10.0
_MAX_SECONDS_FOR_ONE = 0.5

_except_optimizer = operator.attrgetter(
    *("testproblem", "batch_size", "validation_size", "full_evaluation"),
    *("fake_data_fraction", "dtype", "device"),
)
"""What the time of an epoch depends on besides the optimizer."""


def kind_of(specification: RunSpecification) -> Kind:
    """The kind of a run: runs of one kind take equal time for an epoch."""
    return specification.optimizer_target, _except_optimizer(specification)


def take_inventory(
    specifications: Iterable[RunSpecification], output_dir: Path
) -> tuple[dict[str, RunSpecification], dict[Kind, list[Path]]]:
    """Look for the results of runs.

    Returns:
        Runs without a result by `run_id`, and the result files of the others by their kind.
    """
    index = ResultIndex(output_dir)
    pending: dict[str, RunSpecification] = {}
    done: dict[Kind, list[Path]] = defaultdict(list)
    for specification in specifications:
        path = index.find(specification)
        if path is None:
            pending[specification.run_id] = specification
        else:
            done[kind_of(specification)].append(path)
    return pending, done


def missing_data(specifications: Iterable[RunSpecification]) -> dict[str, str]:
    """Find the problems whose data are missing.

    Args:
        specifications: Runs; those on synthetic data need none.

    Returns:
        The names of data sets by the names of the problems. A data set that cannot say is not
        among them: its runs will fail with the reason.
    """
    real = {each.testproblem: None for each in specifications if not each.fake_data_fraction}
    offers = {problem: registry().problems.offer(problem) for problem in real}
    datasets = {problem: str(offer.spec.dataset) for problem, offer in offers.items()}
    absent = set()
    for name in set(datasets.values()):
        # Data sets of other packages may have no status, or raise anything.
        with contextlib.suppress(Exception):
            status: DataStatus = registry().datasets.load(name).status(config.get_data_dir())
            if status.state == "missing":
                absent.add(name)
    return {problem: name for problem, name in datasets.items() if name in absent}


def seconds_of(specifications: Iterable[RunSpecification], paces: Paces) -> float | None:
    """The time of runs one after the other; `None` if that of one of them is unknown."""
    total = 0.0
    # Counted first: thousands of runs are of a few kinds.
    counts = Counter((kind_of(each), each.num_epochs) for each in specifications)
    for (kind, num_epochs), count in counts.items():
        # Of the other optimizers, most of which take as long.
        alike = (pace for other, pace in paces.items() if other[1] == kind[1])
        known = [paces[kind]] if kind in paces else list(alike)
        if not known:
            return None
        epoch_seconds, other_seconds = map(statistics.fmean, zip(*known, strict=True))
        total += count * (other_seconds + num_epochs * epoch_seconds)
    return total


def paces_of(
    pending: Iterable[RunSpecification],
    done: Mapping[Kind, Collection[Path]],
    *,
    jobs: int,
    without: Collection[str] = (),
) -> Paces:
    """Learn how fast runs are: from results, else from a few steps of each kind.

    Args:
        pending: The runs.
        done: Result files by the kind of their run.
        jobs: How many runs are executed at a time.
        without: Names of the problems of which nothing can be measured.
    """
    wanted = {kind_of(each): each for each in pending}
    paces = {}
    for kind in wanted:
        recorded = next(filter(None, map(_recorded_pace, done.get(kind, ()))), None)
        if recorded is not None:
            paces[kind] = recorded
    unknown = [
        each
        for kind, each in wanted.items()
        if kind not in paces and each.testproblem not in without
    ]
    # With all threads, one run would seem faster than each of several at a time.
    num_threads = torch.get_num_threads()
    if jobs > 1:
        torch.set_num_threads(max(1, usable_cores() // jobs))
    try:
        return paces | _measured_paces(unknown)
    finally:
        torch.set_num_threads(num_threads)


def _recorded_pace(path: Path) -> tuple[float, float] | None:
    """The pace in a result file; `None` if the run ended early."""
    try:
        record = store.read(path)
    except (OSError, ValueError):
        return None
    if record.status != "completed" or not record.train_seconds:
        return None
    evaluation = statistics.fmean(record.eval_seconds)
    return statistics.fmean(record.train_seconds) + evaluation, evaluation


def _measured_paces(specifications: Sequence[RunSpecification]) -> Paces:
    """Measure one run of each kind, as long as time remains."""
    deadline = time.perf_counter() + _SECONDS_FOR_ALL
    paces = {}
    set_up_before: set[str] = set()
    for each in specifications:
        if time.perf_counter() > deadline:
            break
        # Whatever fails here will fail in the run, and be reported there.
        with contextlib.suppress(Exception, SystemExit):
            if each.testproblem not in set_up_before:
                # Not timed: the first set-up in a process imports modules.
                with environment.reproducible(each):
                    set_up_problem(each)
                set_up_before.add(each.testproblem)
            seconds = min(_SECONDS_FOR_ALL / len(specifications), _MAX_SECONDS_FOR_ONE)
            paces[kind_of(each)] = pace_of(each, seconds=seconds)
    return paces


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is pending of one optimizer with one schedule on one problem."""

    problem: str
    optimizer: str
    schedule: str
    is_tuned: bool
    configurations: int | None = None
    runs: int
    done: int | None = None
    pending: int | None = None
    seconds: float | None


def parts_of(plan: Plan, pending: Collection[str], paces: Paces) -> list[Part]:
    """Say what is pending of each optimizer on each problem.

    Args:
        plan: The plan.
        pending: Which of its runs are pending, by `run_id`.
        paces: How fast runs are.
    """
    groups: dict[tuple[str, str, str], dict[str, RunSpecification]] = defaultdict(dict)
    for run in plan.runs:
        key = (run.specification.testproblem, run.optimizer, run.schedule)
        groups[key][run.specification.run_id] = run.specification
    parts = []
    for (problem, optimizer, schedule), those in groups.items():
        # By identity: two configurations of an optimizer can be the same run.
        left = [each for run_id, each in those.items() if run_id in pending]
        part = Part(
            problem=problem,
            optimizer=optimizer,
            schedule=schedule,
            is_tuned=False,
            configurations=len({repr(each.hyperparameters) for each in those.values()}),
            runs=len(those),
            done=len(those) - len(left),
            pending=len(left),
            seconds=seconds_of(left, paces),
        )
        parts.append(part)
    for tuning in plan.tunings:
        runs = [tuning.example] * tuning.num_runs if tuning.example else []
        part = Part(
            problem=tuning.problem,
            optimizer=tuning.optimizer,
            schedule=tuning.schedule,
            is_tuned=True,
            runs=tuning.num_runs,
            seconds=seconds_of(runs, paces) if runs else None,
        )
        parts.append(part)
    return parts


def time_left(
    plan: Plan, pending: Mapping[str, RunSpecification], paces: Paces
) -> tuple[float | None, int]:
    """Say how long all pending runs will take, one after the other.

    Args:
        plan: The plan.
        pending: Which of its runs are pending, by `run_id`.
        paces: How fast runs are.

    Returns:
        Seconds for the runs whose duration is known, `None` if it is known of none; and the number
        of the others.
    """
    tuned = [tuning.example for tuning in plan.tunings for _ in range(tuning.num_runs)]
    known = [
        each
        for each in (*pending.values(), *tuned)
        if each is not None and seconds_of([each], paces) is not None
    ]
    num_unknown = len(pending) + len(tuned) - len(known)
    return None if num_unknown and not known else seconds_of(known, paces), num_unknown
