"""What of a plan is done, what is pending, which data it needs, and how long it will take."""

from __future__ import annotations

import contextlib
import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from deepobs import config
from deepobs.plugins import registry
from deepobs.resources import gc_paused, usable_cores
from deepobs.runs.environment import threads_of
from deepobs.runs.store import RESULT, configuration_directory, read
from deepobs.runs.timing import Span
from deepobs_bench.paces import kind_of
from deepobs_bench.result_index import ResultIndex

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from deepobs.data.base import DataStatus
    from deepobs.run_specifications import RunSpecification
    from deepobs_bench.executors import ExecutorOptions
    from deepobs_bench.paces import Paces
    from deepobs_bench.plan import Plan
    from deepobs_bench.tuning.planned import PlannedTuning

# Importing torch takes so much of short experiments that without it, no range would hold them.
START = Span(8.0, 3.0, 30.0)
"""The time until the first run begins in a process of its own."""


def take_inventory(
    specifications: Iterable[RunSpecification], index: ResultIndex
) -> tuple[dict[str, RunSpecification], list[tuple[RunSpecification, str]]]:
    """Look for the results of runs.

    Args:
        specifications: The runs.
        index: The results.

    Returns:
        Runs without a result by `run_id`, and the others with their result files.
    """
    pending: dict[str, RunSpecification] = {}
    done: list[tuple[RunSpecification, str]] = []
    with gc_paused():  # of tens of thousands of objects, none is garbage
        for specification in specifications:
            path = index.path_of(specification)
            if path is None:
                pending[specification.run_id] = specification
            else:
                done.append((specification, path))
        index.write()
    return pending, done


def advice_on_threads(pending: Iterable[RunSpecification], execution: ExecutorOptions) -> str:
    """Say where runs have more threads than there are cores; empty if they have not.

    Args:
        pending: The runs.
        execution: How they are executed.
    """
    if execution.jobs < 2 or execution.scheduler or config.get_num_threads() is not None:
        return ""
    cores = usable_cores()
    one_of_each = {run.testproblem: run for run in pending if run.device == "cpu"}
    crowded = {
        name: number
        for name, run in one_of_each.items()
        if (number := threads_of(run)) > 1 and number * execution.jobs > cores
    }
    if not crowded:
        return ""
    fitting = max(1, cores // execution.jobs)
    return (
        f"Each run of {', '.join(sorted(crowded))} uses {max(crowded.values())} threads, however "
        "many jobs there are, since its last bits depend on that. With --threads "
        f"{fitting}, {execution.jobs} jobs do not compete for the cores."
    )


def results_of_older_code(
    pending: Iterable[RunSpecification], output_dir: Path
) -> tuple[int, list[str]]:
    """Find results that runs would have, had code of the user's own not changed.

    Args:
        pending: Runs without a result.
        output_dir: The directory of results.

    Returns:
        The number of results, and the fingerprints of their code.
    """
    index = ResultIndex(output_dir)
    versions: dict[Path, list[tuple[str, dict[str, str]]]] = {}
    count, fingerprints = 0, set()
    for specification in pending:
        now = {"": specification.optimizer_source, **specification.code}
        if not any(now.values()):
            continue
        directory = configuration_directory(output_dir, specification).parent
        if directory not in versions:
            versions[directory] = _versions_in(directory)
        for source, code in versions[directory]:
            then = {"": source, **code}
            form = specification.model_copy(update={"optimizer_source": source, "code": code})
            if then != now and index.find(form) is not None:
                count += 1
                fingerprints |= set(then.values()) - set(now.values())
    return count, sorted(fingerprints - {""})


def _versions_in(directory: Path) -> list[tuple[str, dict[str, str]]]:
    """The different code of results: the optimizer's source, and other code by its part."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for configuration in directory.glob("*/"):
        # The code is part of the directory's name: one result speaks for all in it.
        for path in configuration.glob(f"*.{RESULT}"):
            with contextlib.suppress(OSError, ValidationError):
                record = read(path)
                version = record.optimizer_source, record.code
                found[repr(version)] = version
                break
    return list(found.values())


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


def time_of(specifications: Sequence[RunSpecification], paces: Paces) -> Span | None:
    """The time of runs one after the other; `None` if that of one of them is unknown."""
    total = Span.of([0.0])
    # Counted first: thousands of runs are of a few kinds.
    keys = [
        (kind_of(each), each.num_epochs, each.max_steps, each.evaluate_every)
        for each in specifications
    ]
    counts = Counter(keys)
    examples = dict(zip(keys, specifications, strict=True))
    for key, count in counts.items():
        one = paces.of(examples[key])
        if one is None:
            return None
        total += one * count
    return total


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
    time: Span | None


def parts_of(
    plan: Plan, pending: Collection[str], tunings: Sequence[PlannedTuning], paces: Paces
) -> list[Part]:
    """Say what is pending of each optimizer on each problem.

    Args:
        plan: The plan.
        pending: Which of its runs are pending, by `run_id`.
        tunings: Which of its tunings are pending.
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
            time=time_of(left, paces),
        )
        parts.append(part)
    for tuning in plan.tunings:
        part = Part(
            problem=tuning.problem,
            optimizer=tuning.optimizer,
            schedule=tuning.schedule,
            is_tuned=True,
            runs=tuning.num_runs,
            # How much of a tuning is done is known only once it is: its runs depend on each other.
            **({} if tuning in tunings else {"done": tuning.num_runs, "pending": 0}),
            time=time_of(tuning.examples, paces) if tuning.examples else None,
        )
        parts.append(part)
    return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeasured:
    """Runs whose time is not known."""

    problem: str
    optimizer: str
    runs: int
    reason: str


def time_left(
    plan: Plan, pending: Mapping[str, RunSpecification], paces: Paces, jobs: int
) -> tuple[Span | None, list[Unmeasured]]:
    """Say how long all pending runs will take.

    Args:
        plan: The plan.
        pending: Which of its runs are pending, by `run_id`.
        paces: How fast runs are.
        jobs: How many runs are executed at a time.

    Returns:
        The time of the runs of which it is known, `None` if it is known of none; and the others.
    """
    labels = {run.specification.run_id: run.optimizer for run in plan.runs}
    # One after the other: the runs, and each tuning.
    groups = [[(labels[run_id], each) for run_id, each in pending.items()]]
    groups += [[(tuning.optimizer, each) for each in tuning.examples] for tuning in plan.tunings]
    known: list[list[Span]] = []
    unknown: Counter[tuple[str, str, str]] = Counter()
    for group in groups:
        times = [(label, each, paces.of(each)) for label, each in group]
        known.append([time for _, _, time in times if time is not None])
        unknown.update(
            (each.testproblem, label, paces.obstacle(each))
            for label, each, time in times
            if time is None
        )
    for tuning in plan.tunings:
        if not tuning.examples:
            unknown[tuning.problem, tuning.optimizer, tuning.obstacle] += tuning.num_runs
    unmeasured = [
        Unmeasured(problem=problem, optimizer=optimizer, runs=runs, reason=reason)
        for (problem, optimizer, reason), runs in unknown.items()
    ]
    if unmeasured and not any(known):
        return None, unmeasured
    return sum((_at_a_time(jobs, times) for times in known), START), unmeasured


def _at_a_time(jobs: int, times: Sequence[Span]) -> Span:
    """The time of runs of which each starts when one of `jobs` places becomes free."""

    def last_end(seconds: Iterable[float]) -> float:
        ends = [0.0] * jobs
        for each in seconds:
            heapq.heapreplace(ends, ends[0] + each)
        return max(ends)

    return Span(
        last_end(each.seconds for each in times),
        last_end(each.low for each in times),
        last_end(each.high for each in times),
    )
