"""`deepobs bench`: carry out an experiment that a file describes."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepobs.console import run_options, screen
from deepobs.console.commands import as_json
from deepobs_bench.cli.execution import takes_execution, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepobs.console.run_options import ResultOptions
    from deepobs.records import RunSpecification
    from deepobs_bench.carrying_out import Results
    from deepobs_bench.cli.execution import Execution
    from deepobs_bench.inventory import Inventory
    from deepobs_bench.plan import Plan
    from deepobs_bench.schema import Budget
    from deepobs_bench.time_estimate import Paces

_INCOMPLETE = 1


@click.command("bench")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option(
    "--only",
    "patterns",
    multiple=True,
    metavar="KEY=PATTERN",
    help="Carry out a part: problem=digits_*, optimizer=SGD (its name in FILE, or its class), "
    "schedule=cosine or seed=42. May be repeated.",
)
@click.option(
    "--no-estimate",
    is_flag=True,
    help="Do not measure how long it will take, which takes up to ten seconds.",
)
@takes_execution
@run_options.device
@run_options.data_dir
@run_options.fake_data
@run_options.num_workers
@run_options.takes_results
@as_json
@click.pass_context
def command(
    context: click.Context,
    file: Path,
    dry_run: bool,
    patterns: tuple[str, ...],
    no_estimate: bool,
    execution: Execution,
    device: str | None,
    data_dir: Path | None,
    fake_data: float | None,
    num_workers: int | None,
    results: ResultOptions,
    as_json: bool,
) -> None:
    """Carry out the experiment that FILE describes: what is missing is run, then a table is shown.

    FILE is TOML or YAML. It names test problems, optimizers with grids of hyperparameters,
    schedules and seeds; the examples that come with DeepOBS explain it. A run whose result is
    there is not repeated: the same command goes on where it was interrupted. With --json, the plan
    of a dry run or else the table is written as JSON, and all the rest to standard error.

    \b
    Examples:
      deepobs bench experiment.toml --dry-run
      deepobs bench experiment.toml --jobs 4
      deepobs bench experiment.toml --only "problem=digits_*" --only optimizer=SGD
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    from deepobs_bench.inventory import take_inventory
    from deepobs_bench.loading import load
    from deepobs_bench.only import only
    from deepobs_bench.plan import plan

    with run_options.configured(
        f"The experiment {file}", data_dir=data_dir, num_workers=num_workers
    ):
        output_dir = results.output_dir
        jobs = execution.options.jobs
        experiment = load(file)
        planned = plan(experiment, str(file), fake_data=fake_data, device=device)
        planned = only(patterns, planned) if patterns else planned
        inventory = take_inventory(planned.specifications, output_dir)
        paces = None if no_estimate else _paces(planned, inventory, jobs)
        show_plan = _show_plan_as_json if as_json else _show_plan
        show_plan(planned, inventory, paces, jobs, output_dir, in_full=dry_run)
        if dry_run:
            return
        executed = _carry_out(
            planned,
            len(inventory.missing),
            execution,
            results,
            device_is_open=device is None,
            budget=experiment.budget,
            show_line=tell if as_json else screen.show,
        )
        _show_results(planned, executed, output_dir, as_json=as_json)
    if executed.failures or executed.mistakes or executed.is_out_of_time:
        context.exit(_INCOMPLETE)


def _run_seconds(budget: Budget) -> float | None:
    return None if budget.run_minutes is None else 60 * budget.run_minutes


def _paces(planned: Plan, inventory: Inventory, jobs: int) -> Paces:
    from deepobs_bench.available_data import missing_data
    from deepobs_bench.time_estimate import paces_of

    wanted = _wanted(planned, inventory)
    if wanted and sys.stderr.isatty():
        click.echo("Estimating how long it will take ...", err=True)
    return paces_of(wanted, inventory.found, jobs=jobs, without=missing_data(wanted))


def _show_plan(
    planned: Plan,
    inventory: Inventory,
    paces: Paces | None,
    jobs: int,
    output_dir: Path,
    *,
    in_full: bool,
) -> None:
    from deepobs_bench.available_data import missing_data
    from deepobs_bench.cli.bench_plan import show_missing_data, show_table_of_plan, show_totals

    if in_full:
        show_table_of_plan(planned, inventory, paces)
    show_totals(planned, inventory, paces, jobs=jobs, output_dir=output_dir)
    show_missing_data(missing_data(_wanted(planned, inventory)))


def _show_plan_as_json(
    planned: Plan,
    inventory: Inventory,
    paces: Paces | None,
    jobs: int,
    output_dir: Path,
    *,
    in_full: bool,
) -> None:
    from deepobs_bench.available_data import missing_data
    from deepobs_bench.cli.bench_json import plan_for_programs
    from deepobs_bench.cli.bench_plan import show_missing_data

    missing = missing_data(_wanted(planned, inventory))
    if in_full:
        described = plan_for_programs(
            planned, inventory, paces, jobs=jobs, output_dir=output_dir, missing_data=missing
        )
        screen.show_json(described)
    show_missing_data(missing)


def _wanted(planned: Plan, inventory: Inventory) -> list[RunSpecification]:
    """The runs that are missing, and one for each tuning."""
    tuned = (tuning.example for tuning in planned.tunings)
    return [*inventory.missing.values(), *(example for example in tuned if example is not None)]


def _carry_out(
    planned: Plan,
    num_missing: int,
    execution: Execution,
    options: ResultOptions,
    *,
    device_is_open: bool,
    budget: Budget,
    show_line: Callable[[str], None],
) -> Results:
    from deepobs_bench.carrying_out import carry_out
    from deepobs_bench.cli.bench_progress import bench_progress
    from deepobs_bench.watched import WatchedSweep

    jobs, run_seconds = execution.options.jobs, _run_seconds(budget)
    num_runs = num_missing + sum(tuning.num_runs for tuning in planned.tunings)
    with (
        _interruptions_explained(),
        bench_progress(num_runs, jobs, show=show_line) as watcher,
        execution.open(time_limit=run_seconds) as workers,
    ):
        sweep = WatchedSweep(
            workers,
            watcher,
            output_dir=options.output_dir,
            device_is_open=device_is_open,
            time_limit=run_seconds,
            checkpoints=options.checkpoints,
            observers=options.observers,
            tell=tell,
            seconds=None if budget.hours is None else 3600 * budget.hours,
        )
        return carry_out(planned, sweep, jobs=jobs)


@contextlib.contextmanager
def _interruptions_explained() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Results so far are kept: the same command goes on from there.", err=True)
        raise


def _show_results(planned: Plan, results: Results, output_dir: Path, *, as_json: bool) -> None:
    from deepobs_bench.cli.bench_json import results_for_programs
    from deepobs_bench.cli.bench_table import show_failures, show_standings

    if as_json:
        screen.show_json(results_for_programs(planned, results, output_dir))
    else:
        screen.show()
        show_standings(results.standings(planned))
        for path in results.tuning_files(output_dir):
            screen.show(f"  {path}")
    show_failures(results, output_dir)
    if results.is_out_of_time:
        left = len(planned.specifications) - len(results.ends)
        screen.show_message(
            "Stopped",
            f"the hours of the budget are over; {left} runs are left, besides those of tunings. "
            "The same command goes on.",
        )
