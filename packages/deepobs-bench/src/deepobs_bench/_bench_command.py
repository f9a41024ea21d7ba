"""`deepobs bench`: execute an experiment that a file describes."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepobs.console import run_options, screen
from deepobs.console.options import as_json
from deepobs.console.repeated_commands import answer_to, keep, key_of
from deepobs.plugins import registry
from deepobs_bench._execution_options import (
    EXECUTION_PARAMETERS,
    execution_from,
    interruptible_executor,
    prepared_workers,
    tell,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepobs.console.run_options import ResultOptions
    from deepobs_bench.executors import ExecutorOptions
    from deepobs_bench.experiment import Budget
    from deepobs_bench.plan import Plan
    from deepobs_bench.result_index import ResultIndex
    from deepobs_bench.standings import Results
    from deepobs_bench.sweep import Sweep

_INCOMPLETE = 1


@click.command(
    "bench",
    params=[
        click.Argument(["file"], type=click.Path(path_type=Path)),
        click.Option(["--dry-run"], is_flag=True, help="Show the plan and execute nothing."),
        click.Option(
            ["--only", "patterns"],
            multiple=True,
            metavar="KEY=PATTERN",
            help="Execute only some runs: problem=digits_*, optimizer=SGD (its name in FILE, or "
            "its class), schedule=cosine or seed=42. May be repeated.",
        ),
        click.Option(
            ["--no-estimate"],
            is_flag=True,
            help="Skip the estimate of how long the runs will take, which takes up to ten seconds, "
            "and with --dry-run as long as a few steps of each kind of run.",
        ),
        *EXECUTION_PARAMETERS,
        run_options.DEVICE,
        run_options.THREADS,
        run_options.DATA_DIR,
        run_options.FAKE_DATA,
        run_options.NUM_WORKERS,
        *run_options.RESULT_PARAMETERS,
    ],
)
@as_json
@click.pass_context
def command(
    context: click.Context,
    /,
    file: Path,
    dry_run: bool,
    patterns: tuple[str, ...],
    no_estimate: bool,
    device: str | None,
    num_threads: int | None,
    data_dir: Path | None,
    fake_data: float | None,
    num_workers: int | None,
    as_json: bool,
    **shared: Any,
) -> None:
    """Execute the pending runs of the experiment in FILE, and show a table of all results.

    FILE is TOML or YAML. It names test problems, optimizers with grids of hyperparameters,
    schedules and seeds; the documentation of DeepOBS lists all keys. Finished runs are skipped,
    so the command can be repeated after an interruption or with more seeds. With --json, the table
    (or the plan of a dry run) is written as JSON, and everything else to standard error.

    \b
    Examples:
      deepobs bench experiment.toml --dry-run
      deepobs bench experiment.toml --jobs 4
      deepobs bench experiment.toml --only "problem=digits_*" --only optimizer=SGD
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    key, output_dir = _key_of(context.params), shared["output_dir"]
    if not dry_run and _is_answered(key, output_dir, as_json=as_json):
        return
    executor, options = execution_from(shared)
    if not dry_run:
        context.with_resource(prepared_workers(executor, options, num_threads))
    # Imported here, as all that needs torch, so that help and completion appear at once.
    from deepobs_bench._bench_output import plan_output, show_missing_data, show_results
    from deepobs_bench.experiment_files import load
    from deepobs_bench.plan import only, plan
    from deepobs_bench.result_index import ResultIndex
    from deepobs_bench.standings import execute

    results = run_options.ResultOptions.taken_from(shared, is_dry=dry_run)
    with run_options.configured(
        f"The experiment {file}",
        data_dir=data_dir,
        num_workers=num_workers,
        num_threads=num_threads,
    ):
        experiment = load(file)
        for name in experiment.suites:
            if missing := registry().missing_of_suite(name):
                tell(missing)
        planned = plan(experiment, str(file), fake_data=fake_data, device=device)
        planned = only(patterns, planned) if patterns else planned
        index = ResultIndex.with_kept(results.output_dir)
        shown = plan_output(
            planned,
            options,
            results,
            has_estimate=not no_estimate,
            is_hasty=not dry_run,
            index=index,
        )
        if not as_json:
            shown.show(in_full=dry_run, with_time=not no_estimate)
        elif dry_run:
            screen.show_json(shown.for_programs())
        if shown.missing_data:
            show_missing_data(shown.missing_data)
        if dry_run:
            return
        num_runs = len(shown.pending) + sum(each.num_runs for each in shown.pending_tunings)
        with _open_sweep(
            executor,
            options,
            results,
            num_runs=num_runs,
            budget=experiment.budget,
            device_is_open=device is None,
            show_line=tell if as_json else screen.show,
        ) as sweep:
            executed = execute(planned, sweep, jobs=options.jobs, index=index)
        show_results(planned, executed, results.output_dir, as_json=as_json)
        _keep(key, planned, executed, index)
    if executed.failures or executed.errors or executed.is_out_of_time:
        context.exit(_INCOMPLETE)


def _key_of(parameters: dict[str, Any]) -> str:
    content = b""
    with contextlib.suppress(OSError):  # reading the experiment says what is wrong
        content = parameters["file"].read_bytes()
    depends_on = {k: v for k, v in parameters.items() if k not in ("as_json", "dry_run")}
    return key_of(depends_on, content)


def _is_answered(key: str, output_dir: Path, *, as_json: bool) -> bool:
    """Show the table of an experiment of which nothing is pending, as it was shown before."""
    answer = answer_to(key)
    if answer is None:
        return False
    from deepobs_bench._standings_output import for_programs, show_finished
    from deepobs_bench.standings import Standing

    standings = [Standing(**each) for each in answer["standings"]]
    if as_json:
        screen.show_json(for_programs(standings))
    else:
        show_finished(answer["runs"], standings, output_dir)
    return True


def _keep(key: str, plan: Plan, results: Results, index: ResultIndex) -> None:
    """Keep the table of an experiment of which nothing is pending."""
    if results.failures or plan.tunings or results.is_out_of_time:
        return
    specifications = plan.specifications
    standings = [asdict(each) for each in results.standings(plan)]
    shown = {"runs": len(specifications), "standings": standings}
    keep(key, specifications, index.states_of(specifications), shown)
    index.write()


@contextlib.contextmanager
def _open_sweep(
    executor: str,
    options: ExecutorOptions,
    results: ResultOptions,
    *,
    num_runs: int,
    budget: Budget,
    device_is_open: bool,
    show_line: Callable[[str], None],
) -> Iterator[Sweep]:
    """Open an executor and the progress, and yield a sweep that uses both."""
    from deepobs_bench._bench_output import bench_progress
    from deepobs_bench.sweep import Sweep

    run_seconds = None if budget.run_minutes is None else 60 * budget.run_minutes
    with (
        interruptible_executor(
            executor,
            replace(options, time_limit=run_seconds),
            results.checkpoints,
        ) as workers,
        # Inside: an interruption removes the bar before the workers write last checkpoints.
        bench_progress(num_runs, options.jobs * (options.pack or 1), show=show_line) as notify,
    ):
        yield Sweep(
            workers,
            output_dir=results.output_dir,
            device_is_open=device_is_open,
            time_limit=run_seconds,
            processes_per_run=options.processes_per_run,
            checkpoints=results.checkpoints,
            observers=results.observers,
            seconds=None if budget.hours is None else 3600 * budget.hours,
            silence_limit=options.silence_limit,
            notify=notify,
            tell=tell,
        )
