"""`deepobs tune`: find good hyperparameters, and measure how good they are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from deepobs.console.commands import as_json, completing
from deepobs.console.run_options import takes_results, takes_run
from deepobs.console.text import clean
from deepobs_bench.cli.execution import takes_execution, tell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepobs.console.run_options import ResultOptions, RunOptions
    from deepobs.records import RunSpecification
    from deepobs_bench.cli.execution import Execution
    from deepobs_bench.outcomes import Outcome
    from deepobs_bench.tuning import TuningResult, TuningSettings

_NO_WINNER = 1


@click.command("tune")
@click.option(
    "--space",
    "spaces",
    multiple=True,
    metavar="NAME=SPACE",
    help="What to try of a hyperparameter: log:1e-5:1e2, uniform:0:1, int:1:10, "
    "one-minus-log:1e-4:1 (for factors near 1), or a list a,b,c; with a number of points for a "
    "grid, as in log:1e-5:1e2:36. NAME may be betas[0], batch_size or problem_weight_decay. May be "
    "repeated.",
)
@click.option(
    "--preset",
    shell_complete=completing(("paper", "crowded-valley")),
    help="A published protocol: paper (DeepOBS: 36 learning rates from 1e-5 to 1e2, seeds 42 to "
    "51) or crowded-valley (random search, spaces by optimizer).",
)
@click.option(
    "--sampler",
    shell_complete=completing(("grid", "random", "tpe", "gp")),
    help="grid, random, tpe or gp [default: random].",
)
@click.option("--trials", type=int, help="How many settings to try [default: 25; all of a grid].")
@click.option(
    "--budget",
    shell_complete=completing(("one-shot", "small", "medium", "large")),
    help="one-shot, small, medium or large: 1, 25, 50 or 75 trials.",
)
@click.option(
    "--at-once",
    type=int,
    help="Trials that tpe, gp and pruning begin before they know results [default: the jobs].",
)
@click.option("--sampler-seed", type=int, help="Seed of the sampler [default: 42].")
@click.option("--seeds", help="Seeds of every trial, such as 42 or 1,2,3 or 1..3 [default: 42].")
@click.option("--report-seeds", help="Seeds of the winner's runs [default: the ten after those].")
@click.option(
    "--select-on",
    shell_complete=completing(("valid", "test")),
    help="valid: examples held out of the training set [default]. test: the test set, which makes "
    "figures on it too good.",
)
@click.option(
    "--epoch",
    shell_complete=completing(("final", "best")),
    help="Whether the final [default] or the best epoch of a run counts.",
)
@click.option(
    "--metric",
    shell_complete=completing(("accuracy", "loss")),
    help="accuracy or loss [default: the problem's].",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Stop runs that fall behind the median of those before; trials go in turns then.",
)
@takes_run
@click.option(
    "--validation-size",
    type=int,
    help="Training examples held out [default: a tenth of them, to choose on].",
)
@takes_execution
@takes_results
@as_json
@click.pass_context
def command(
    context: click.Context,
    /,
    options: RunOptions,
    spaces: tuple[str, ...],
    validation_size: int | None,
    execution: Execution,
    results: ResultOptions,
    as_json: bool,
    **settings: Any,
) -> None:
    """Find good hyperparameters of OPTIMIZER on the test problem PROBLEM.

    Settings are tried, the best is chosen on examples held out of the training set, and is run
    again with further seeds, which the report is about. Every trial is an ordinary run with a
    result file: what is there is not run again. All but a grid needs Optuna:
    pip install 'deepobs-bench[tune]'.

    \b
    Examples:
      deepobs tune quadratic_deep SGD --space lr=log:1e-5:1e2 --trials 20
      deepobs tune digits_mlp Adam --preset crowded-valley --budget medium
      deepobs tune fmnist_2c2d Momentum --preset paper
      deepobs tune digits_mlp SGD -o momentum=0.9 --space lr=log:1e-4:1 \\
          --space nesterov=true,false
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    from deepobs_bench.sweep import Sweep
    from deepobs_bench.tuning import tune

    chosen = checked(spaces, settings)
    with options.configured(), execution.open() as workers:
        result = tune(
            options.problem,
            options.optimizer,
            chosen,
            sweep=Sweep(
                workers,
                output_dir=results.output_dir,
                device_is_open=options.arguments["device"] is None,
                checkpoints=results.checkpoints,
                observers=results.observers,
                tell=tell,
            ),
            hyperparameters=options.hyperparameters,
            options={**options.arguments, "validation_size": validation_size},
            jobs=execution.options.jobs,
            notify=_say,
        )
    _show(result, results.output_dir, as_json=as_json)
    if result.best is None:
        context.exit(_NO_WINNER)


def checked(spaces: Sequence[str], settings: dict[str, Any]) -> TuningSettings:
    """Read what the options say about tuning.

    Args:
        spaces: Texts such as `lr=log:1e-5:1e2`.
        settings: The other options by name, `None` for what was left out.

    Raises:
        UsageError: A space has another form, or is given twice.
        ArgumentError: A value is not permitted.
    """
    from deepobs_bench.tuning.settings import checked_settings

    space: dict[str, str] = {}
    for text in spaces:
        name, separator, written = text.partition("=")
        if not separator or not name or name in space:
            what = "is given twice" if name in space else "is no NAME=SPACE such as lr=log:1e-5:1"
            raise click.UsageError(f"--space {text!r} {what}.")
        space[name] = written
    seeds = {name: _seeds(settings[name]) for name in ("seeds", "report_seeds")}
    return checked_settings({**settings, **seeds, "space": space or None})


def _seeds(text: str | None) -> str | list[int] | None:
    """Read `42` and `1,2,3`, and leave `42..51` and mistakes to the settings."""
    try:
        return text and [int(seed) for seed in text.split(",")]
    except ValueError:
        return text


def _say(run: RunSpecification, outcome: Outcome) -> None:
    """Tell somebody who watches how a run ended."""
    from deepobs.records import RunRecord
    from deepobs.runs.progress import summary_of

    if sys.stderr.isatty():
        if isinstance(outcome, RunRecord):
            ended = summary_of(outcome)
        else:
            ended = f"{outcome.kind}: {outcome.message}"
        chosen = ", ".join(f"{name} = {value}" for name, value in run.hyperparameters.items())
        click.echo(clean(f"{chosen}: {ended}"), err=True)


def _show(result: TuningResult, output_dir: Path, *, as_json: bool) -> None:
    from deepobs.console import screen
    from deepobs_bench.cli.tuned import show_tuning
    from deepobs_bench.tuning.result import path_of

    if as_json:
        screen.show_json(result.model_dump(mode="json"))
    else:
        show_tuning(result, path_of(output_dir, result))
