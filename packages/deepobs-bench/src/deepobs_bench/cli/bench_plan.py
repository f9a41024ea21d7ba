"""The plan of an experiment, as `deepobs bench` shows it before it starts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepobs.console import screen
from deepobs.console.screen import Column
from deepobs.console.text import counted, duration
from deepobs_bench.schema import CONSTANT
from deepobs_bench.time_estimate import Paces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from deepobs.records import RunSpecification
    from deepobs_bench.inventory import Inventory
    from deepobs_bench.plan import Plan

_UNKNOWN = "?"
_NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Part:
    """What there is to do of one optimizer with one schedule on one problem.

    Attributes:
        problem: Name of the problem.
        optimizer: Name of the optimizer in the experiment.
        schedule: Name of the schedule of the learning rate.
        is_tuned: Whether its settings are searched for; it is not known then what is there.
        settings: How many settings there are.
        runs: How many runs it has, at most where it is tuned.
        there: How many of them have a result.
        missing: How many have none.
        seconds: How long those will take one after the other, `None` where that is not known.
    """

    problem: str
    optimizer: str
    schedule: str
    is_tuned: bool
    settings: int | None
    runs: int
    there: int | None
    missing: int | None
    seconds: float | None


def parts_of(plan: Plan, inventory: Inventory, paces: Paces | None) -> list[Part]:
    """Say how much there is to do of each optimizer on each problem.

    Args:
        plan: The plan.
        inventory: Which of its runs are there.
        paces: How fast runs go; `None` where nobody looked.
    """
    paces = paces or Paces()
    return [*_parts_of_runs(plan, inventory, paces), *_parts_of_tunings(plan, paces)]


def time_left(plan: Plan, inventory: Inventory, paces: Paces) -> tuple[float | None, int]:
    """Say how long all that is to do will take, one after the other.

    Args:
        plan: The plan.
        inventory: Which of its runs are there.
        paces: How fast runs go.

    Returns:
        Seconds for the runs whose duration is known, `None` where it is not known of any; and how
        many others there are.
    """
    tuned = [tuning.example for tuning in plan.tunings for _ in range(tuning.num_runs)]
    known = [
        each
        for each in (*inventory.missing.values(), *tuned)
        if each is not None and paces.seconds_of([each]) is not None
    ]
    num_unknown = len(inventory.missing) + len(tuned) - len(known)
    return None if num_unknown and not known else paces.seconds_of(known), num_unknown


def show_table_of_plan(plan: Plan, inventory: Inventory, paces: Paces | None) -> None:
    """Show how much there is to do, a row for each optimizer on each problem.

    Args:
        plan: The plan.
        inventory: Which of its runs are there.
        paces: How fast runs go; `None` where nobody looked.
    """
    rows = [
        [
            *(part.problem, part.optimizer, part.schedule),
            "tuned" if part.is_tuned else part.settings,
            part.runs,
            *(_UNKNOWN if part.is_tuned else number for number in (part.there, part.missing)),
            _NOTHING if part.missing == 0 else _time(part.seconds),
        ]
        for part in parts_of(plan, inventory, paces)
    ]
    columns = [Column(heading) for heading in ("PROBLEM", "OPTIMIZER", "SCHEDULE")]
    numbers = ("SETTINGS", "RUNS", "THERE", "MISSING")
    columns += [Column(heading, is_number=True) for heading in numbers]
    if all(row[2] == CONSTANT for row in rows):
        del columns[2]
        rows = [[*row[:2], *row[3:]] for row in rows]
    screen.show_table([*columns, Column("TIME")], rows)
    screen.show()


def show_totals(
    plan: Plan, inventory: Inventory, paces: Paces | None, *, jobs: int, output_dir: Path
) -> None:
    """Say how much there is to do, how long it will take and where results go.

    Args:
        plan: The plan.
        inventory: Which of its runs are there.
        paces: How fast runs go; `None` to say nothing about time.
        jobs: How many runs at a time.
        output_dir: Where results are kept.
    """
    num_runs = len(plan.specifications)
    num_missing = len(inventory.missing)
    there = num_runs - num_missing
    parts = (
        [f"{counted(num_runs, 'run')}: {there} there, {num_missing} missing"] if num_runs else []
    )
    if plan.tunings:
        most = sum(tuning.num_runs for tuning in plan.tunings)
        parts.append(f"{counted(len(plan.tunings), 'tuning')} of {counted(most, 'run')}")
    screen.show_text(f"{'; '.join(parts)}. Results are kept in {output_dir}.")
    if paces is not None and (inventory.missing or plan.tunings):
        screen.show_text(_time_of_all(plan, inventory, paces, jobs))


def show_missing_data(datasets: Mapping[str, str]) -> None:
    """Say which data are missing and how to get them.

    Args:
        datasets: Names of data sets by names of the problems that need them.
    """
    problems: dict[str, list[str]] = defaultdict(list)
    for problem, dataset in datasets.items():
        problems[dataset].append(problem)
    for dataset, those in problems.items():
        screen.show_message(
            "Warning",
            f"The data of {', '.join(those)} are missing. `deepobs data prepare {dataset}` gets "
            "them ahead of the runs, or says what to do; runs on real data try that, too. With "
            "--fake-data nothing is needed.",
        )


def _parts_of_runs(plan: Plan, inventory: Inventory, paces: Paces) -> Iterator[Part]:
    groups: dict[tuple[str, str, str], dict[str, RunSpecification]] = defaultdict(dict)
    for run in plan.runs:
        specification = run.specification
        key = (specification.testproblem, run.optimizer, run.schedule)
        groups[key][specification.run_id] = specification
    for key, those in groups.items():
        lacking = [each for run_id, each in those.items() if run_id in inventory.missing]
        yield Part(
            *key,
            is_tuned=False,
            settings=len({repr(each.hyperparameters) for each in those.values()}),
            runs=len(those),
            there=len(those) - len(lacking),
            missing=len(lacking),
            seconds=paces.seconds_of(lacking),
        )


def _parts_of_tunings(plan: Plan, paces: Paces) -> Iterator[Part]:
    for tuning in plan.tunings:
        runs = [tuning.example] * tuning.num_runs if tuning.example else []
        yield Part(
            *(tuning.problem, tuning.optimizer, tuning.schedule),
            is_tuned=True,
            settings=None,
            runs=tuning.num_runs,
            there=None,
            missing=None,
            seconds=paces.seconds_of(runs) if runs else None,
        )


def _time_of_all(plan: Plan, inventory: Inventory, paces: Paces, jobs: int) -> str:
    total, num_unknown = time_left(plan, inventory, paces)
    if total is None:
        return "How long they will take could not be measured."
    besides = f", besides {counted(num_unknown, 'run')} of unknown duration" if num_unknown else ""
    return (
        f"They will take about {duration(total / jobs)} with {counted(jobs, 'job')}{besides}, "
        "going by results that are there and by a few steps on this machine."
    )


def _time(seconds: float | None) -> str:
    return _UNKNOWN if seconds is None else duration(seconds)
