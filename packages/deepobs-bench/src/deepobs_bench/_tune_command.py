"""`deepobs tune`: find good hyperparameters, and measure how good they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deepobs.console import screen
from deepobs.console.options import as_json, completing
from deepobs.console.run_options import (
    RESULT_PARAMETERS,
    RUN_PARAMETERS,
    SCHEDULE_PARAMETERS,
    ResultOptions,
    RunOptions,
    schedule_from,
)
from deepobs.console.screen import Column
from deepobs.console.text import clean, shown_value
from deepobs_bench._execution_options import (
    EXECUTION_PARAMETERS,
    execution_from,
    interruptible_executor,
    prepared_workers,
    tell,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification
    from deepobs_bench.executors import ExecutorOptions
    from deepobs_bench.failures import Outcome
    from deepobs_bench.tuning.result import Summary, Trial, TuningResult
    from deepobs_bench.tuning.settings import TuningSettings

_NO_WINNER = 1
_NONE = "-"


@click.command(
    "tune",
    params=[
        click.Option(
            ["--space", "spaces"],
            multiple=True,
            metavar="NAME=SPACE",
            help="Search space of a hyperparameter: log:1e-5:1e2, uniform:0:1, int:1:10, "
            "one-minus-log:1e-4:1 (for factors near 1), or a list a,b,c; with a number of points "
            "for a grid, as in log:1e-5:1e2:36. NAME may be betas[0], head:lr (of a group of "
            "parameters), schedule:gamma (an argument of the schedule), batch_size or "
            "problem_weight_decay. May be repeated.",
        ),
        click.Option(
            ["--preset"],
            shell_complete=completing(("paper", "crowded-valley")),
            help="A published protocol: paper (DeepOBS: 36 learning rates from 1e-5 to 1e2, seeds "
            "42 to 51) or crowded-valley (random search, spaces by optimizer).",
        ),
        click.Option(
            ["--sampler"],
            shell_complete=completing(("grid", "random", "tpe", "gp")),
            help="grid, random, tpe or gp [default: random].",
        ),
        click.Option(["--trials"], type=int, help="Number of trials [default: 25; all of a grid]."),
        click.Option(
            ["--budget"],
            shell_complete=completing(("one-shot", "small", "medium", "large")),
            help="one-shot, small, medium or large: 1, 25, 50 or 75 trials.",
        ),
        click.Option(
            ["--parallel-trials", "at_once"],
            type=int,
            help="Trials that tpe, gp and pruning start without waiting for results [default: "
            "the jobs].",
        ),
        click.Option(["--sampler-seed"], type=int, help="Seed of the sampler [default: 42]."),
        click.Option(
            ["--seeds"], help="Seeds of every trial, such as 42 or 1,2,3 or 1..3 [default: 42]."
        ),
        click.Option(
            ["--report-seeds"], help="Seeds of the winner's runs [default: the next ten]."
        ),
        click.Option(
            ["--select-on"],
            shell_complete=completing(("valid", "test")),
            help="valid: examples held out of the training set [default]. test: the test set, "
            "which makes figures on it too good.",
        ),
        click.Option(
            ["--epoch"],
            shell_complete=completing(("final", "best")),
            help="Epoch of a run that counts: final [default] or best.",
        ),
        click.Option(
            ["--metric"],
            shell_complete=completing(("accuracy", "loss")),
            help="accuracy or loss [default: the problem's].",
        ),
        click.Option(
            ["--prune"],
            is_flag=True,
            help="Stop runs that fall behind the median of earlier runs.",
        ),
        click.Option(
            ["--dry-run"],
            is_flag=True,
            help="Show how it will be tuned and about how long that takes, and execute nothing.",
        ),
        *RUN_PARAMETERS,
        *SCHEDULE_PARAMETERS,
        click.Option(
            ["--validation-size"],
            type=int,
            help="Training examples held out [default: a tenth of them, for selection].",
        ),
        *EXECUTION_PARAMETERS,
        *RESULT_PARAMETERS,
    ],
)
@as_json
@click.pass_context
def command(
    context: click.Context,
    /,
    spaces: tuple[str, ...],
    validation_size: int | None,
    dry_run: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Find good hyperparameters of OPTIMIZER on the test problem PROBLEM.

    The best of the tested configurations is selected on examples held out of the training set, and
    then run with other seeds for the report. Every trial is an ordinary run with a result file;
    finished runs are skipped. All samplers except grid require Optuna:
    pip install 'deepobs-bench[tune]'.

    \b
    Examples:
      deepobs tune quadratic_deep SGD --space lr=log:1e-5:1e2 --trials 20
      deepobs tune digits_mlp Adam --preset crowded-valley --budget medium
      deepobs tune fmnist_2c2d Momentum --preset paper
      deepobs tune digits_mlp SGD -o momentum=0.9 --space lr=log:1e-4:1 \\
          --space nesterov=true,false
      deepobs tune digits_mlp SGD --lr 0.1 --lr-scheduler StepLR \\
          --space schedule:step_size=int:1:5 --space head:lr=log:1e-3:1
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    schedule = schedule_from(settings)
    options = RunOptions.taken_from(settings)
    results = ResultOptions.taken_from(settings, is_dry=dry_run)
    executor, execution = execution_from(settings)
    if not dry_run:
        threads = options.settings["num_threads"]
        context.with_resource(prepared_workers(executor, execution, threads))
    # Imported here, as all that needs torch, so that help and completion appear at once.
    from deepobs_bench.sweep import Sweep
    from deepobs_bench.tuning.tune import AllTrialsFailedError, tune

    with options.configured():
        chosen = _checked(spaces, settings, options)
    arguments = {**options.arguments, **schedule, "validation_size": validation_size}
    if dry_run:
        _show_plan(options, arguments, chosen, execution, results, as_json=as_json)
        return
    try:
        with (
            options.configured(),
            interruptible_executor(executor, execution, results.checkpoints) as workers,
        ):
            result = tune(
                options.problem,
                options.optimizer,
                chosen,
                sweep=Sweep(
                    workers,
                    output_dir=results.output_dir,
                    device_is_open=options.arguments["device"] is None,
                    processes_per_run=execution.processes_per_run,
                    checkpoints=results.checkpoints,
                    observers=results.observers,
                    silence_limit=execution.silence_limit,
                    notify=_show_run,
                    tell=tell,
                ),
                hyperparameters=options.hyperparameters,
                options=arguments,
                jobs=execution.jobs,
            )
    except AllTrialsFailedError as error:  # no mistake in the command, which would exit with 2
        screen.show_message("Failed", error)
        context.exit(_NO_WINNER)
    if as_json:
        screen.show_json(result.model_dump(mode="json"))
    else:
        _show(result, result.path_in(results.output_dir))
    if result.best is None:
        context.exit(_NO_WINNER)


def _show_plan(
    options: RunOptions,
    arguments: dict[str, Any],
    settings: TuningSettings,
    execution: ExecutorOptions,
    results: ResultOptions,
    *,
    as_json: bool,
) -> None:
    from deepobs_bench._bench_output import plan_output, show_missing_data
    from deepobs_bench.experiment import CONSTANT
    from deepobs_bench.plan import Plan
    from deepobs_bench.tuning.planned import planned_tuning

    with options.configured():
        tuning = planned_tuning(
            settings,
            problem=options.problem,
            optimizer=options.optimizer,
            schedule=CONSTANT,
            optimizer_class=options.optimizer,
            hyperparameters=options.hyperparameters,
            options=arguments,
            config={},
            jobs=execution.jobs,
        )
        plan = Plan(tunings=[tuning])
        shown = plan_output(plan, execution, results, has_estimate=True, is_hasty=False)
    if as_json:
        screen.show_json({**shown.for_programs(), "explanation": tuning.explanation})
        return
    screen.show(clean(f"{options.optimizer} on {options.problem}"), is_heading=True)
    for sentence in tuning.explanation:
        screen.show_text(sentence)
    shown.show(in_full=False, with_time=True)
    if shown.missing_data:
        show_missing_data(shown.missing_data)


def _checked(
    spaces: Sequence[str], settings: dict[str, Any], options: RunOptions
) -> TuningSettings:
    """Read the spaces, such as `lr=log:1e-5:1e2`, and the other options by name.

    Raises:
        ArgumentError: They are wrong, or there is no such problem or optimizer; all are named.
    """
    from deepobs.plugins import registry
    from deepobs.runs.optimizers import find_optimizer
    from deepobs_bench._validation import noted_in, require_none
    from deepobs_bench.tuning.settings import TuningSettings, checked_settings

    space: dict[str, str] = {}
    for text in spaces:
        name, separator, written = text.partition("=")
        if not separator or not name or name in space:
            what = "is given twice" if name in space else "is not NAME=SPACE, such as lr=log:1e-5:1"
            raise click.UsageError(f"--space {text!r} {what}.")
        space[name] = written
    seeds = {name: _seeds(settings[name]) for name in ("seeds", "report_seeds")}
    mistakes: list[str] = []
    checked = TuningSettings(budget="one-shot")
    with noted_in(mistakes):
        registry().problems.offer(options.problem)
    with noted_in(mistakes):
        find_optimizer(options.optimizer)
    with noted_in(mistakes):
        checked = checked_settings({**settings, **seeds, "space": space or None})
    require_none(mistakes)
    return checked


def _seeds(text: str | None) -> str | list[int] | None:
    """Read `42` and `1,2,3`; the settings read `42..51` and refuse the rest."""
    try:
        return text and [int(seed) for seed in text.split(",")]
    except ValueError:
        return text


def _show_run(run: RunSpecification, outcome: Outcome, /, *, was_done: bool) -> None:
    from deepobs.runs.progress import summary_of
    from deepobs_bench._bench_output import configuration_of
    from deepobs_bench.failures import Failure

    del was_done
    if isinstance(outcome, Failure):
        ended = f"{outcome.kind}: {outcome.message}"
    else:
        ended = summary_of(outcome)
    screen.show_progress(f"{configuration_of(run)}: {ended}")


def _show(result: TuningResult, file: Path) -> None:
    """Show all trials from the best to the worst, the winner and its report."""
    screen.show(clean(f"{result.optimizer} on {result.testproblem}"), is_heading=True)
    for sentence in result.explanation:
        screen.show_text(sentence)
    screen.show()
    _show_trials(result)
    screen.show()
    if result.best is None:
        screen.show_text("No trial completed: there is no winner, and nothing to report.")
    else:
        values = (f"{k} = {shown_value(v)}" for k, v in result.best.setting.items())
        configuration = ", ".join(values) or "the defaults"
        screen.show_text(f"Winner: trial {result.best.number}, {configuration}.")
        _show_report(result)
    screen.show(f"  {file}")


def _show_trials(result: TuningResult) -> None:
    from deepobs_bench.tuning.judging import ranking

    protocol = result.protocol
    columns = [
        Column("TRIAL", is_number=True),
        Column(f"{protocol.select_on} {protocol.metric}".upper(), is_number=True),
        *(Column(name) for name in protocol.space),
        Column("REMARK"),
    ]
    rows = [
        [
            trial.number,
            _NONE if trial.value is None else f"{trial.value:.6g}",
            *(shown_value(trial.setting[name]) for name in protocol.space),
            _remark(trial, result),
        ]
        for trial in ranking(result.trials, protocol.metric)
    ]
    screen.show_table(columns, rows)


def _remark(trial: Trial, result: TuningResult) -> str:
    if trial.number == result.winner:
        return "winner"
    if trial.status == "completed":
        return ""
    return f"{trial.status}: {trial.message}" if trial.message else trial.status


def _show_report(result: TuningResult) -> None:
    from deepobs_bench.tuning.protocol import numbers

    lost = [run for run in result.report if run.status != "completed"]
    if lost:
        which = ", ".join(f"{run.seed} ({run.status})" for run in lost)
        screen.show_text(
            f"{len(lost)} of the {len(result.report)} runs of the report did not complete, and are "
            f"not in the means: those with seed {which}."
        )
    seeds = numbers(result.protocol.report_seeds)
    columns = [Column("AFTER THE LAST EPOCH"), Column(f"SEEDS {seeds}")]
    summaries = [result.summary]
    if result.summary_without_selection is not None:
        columns.append(Column("WITHOUT THOSE OF THE CHOICE"))
        summaries.append(result.summary_without_selection)
    rows = [
        [name.replace("_", " "), *(_mean(summary, name) for summary in summaries)]
        for name in result.summary
    ]
    if rows:
        screen.show()
        screen.show_table(columns, rows)


def _mean(summaries: Mapping[str, Summary], name: str) -> str:
    summary = summaries.get(name)
    if summary is None:
        return _NONE
    spread = "" if summary.std is None else f" ± {summary.std:.2g}"
    return f"{summary.mean:.6g}{spread} ({summary.runs} runs)"
