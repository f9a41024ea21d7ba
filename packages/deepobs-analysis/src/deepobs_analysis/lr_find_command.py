"""`deepobs lr-find`: the learning rates at which training begins to work and to fail."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepobs.console import screen
from deepobs.console.options import as_json
from deepobs.console.run_options import RUN_PARAMETERS, RunOptions
from deepobs.console.text import clean, counted
from deepobs.run_specifications import DEFAULT_SEED, EVERY_EPOCH

if TYPE_CHECKING:
    from deepobs.runs.lr_range import LrRange

# They say when a run ends and how it is evaluated, which this does not do.
_OF_WHOLE_RUNS: dict[str, Any] = {
    "num_epochs": None,
    "max_steps": None,
    "evaluate_every": EVERY_EPOCH,
    "bn_recalibration": None,
    "full_evaluation": False,
    "log_gradient_norm": False,
}


@click.command(
    "lr-find",
    params=[
        *(parameter for parameter in RUN_PARAMETERS if parameter.name not in _OF_WHOLE_RUNS),
        click.Option(
            ["--min-lr"],
            type=float,
            default=1e-6,
            show_default=True,
            help="Learning rate of the first step.",
        ),
        click.Option(
            ["--max-lr"],
            type=float,
            default=10.0,
            show_default=True,
            help="Learning rate of the last step.",
        ),
        click.Option(
            ["--steps"], type=int, default=100, show_default=True, help="Number of steps."
        ),
        click.Option(
            ["--seed"],
            type=int,
            default=DEFAULT_SEED,
            show_default=True,
            help="Seed of everything random.",
        ),
        click.Option(
            ["--plot", "figure"],
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Draw the objective over the learning rate: .pdf, .svg or .png.",
        ),
    ],
)
@as_json
def command(
    min_lr: float,
    max_lr: float,
    steps: int,
    seed: int,
    figure: Path | None,
    as_json: bool,
    **shared: Any,
) -> None:
    """Find the learning rates between which OPTIMIZER works on PROBLEM.

    PROBLEM, OPTIMIZER and the options are those of `deepobs run`. The learning rate grows
    geometrically from step to step until training diverges: the learning rate range test of Smith
    (2017). A hundred steps tell where to search, not which value is best after a whole run:
    `deepobs tune` finds that. Groups of parameters keep the ratio of their learning rates, for
    which --lr counts. No result is written.

    \b
    Examples:
      deepobs lr-find digits_mlp SGD
      deepobs lr-find quadratic_deep Adam --max-lr 100 --steps 200
      deepobs lr-find digits_2c2d my_module:MyOptimizer --plot lr.png
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    if figure is not None:
        from deepobs_analysis.plots.rendering import format_of

        format_of(figure)  # before anything is measured
    from deepobs.runs import specify
    from deepobs.runs.lr_range import lr_range, requires_lr

    options = RunOptions.taken_from({**shared, **_OF_WHOLE_RUNS})
    with options.configured():
        hyperparameters = options.hyperparameters
        if "lr" not in hyperparameters and requires_lr(options.optimizer):
            hyperparameters = {**hyperparameters, "lr": min_lr}
        specification = specify(
            options.problem,
            options.optimizer,
            hyperparameters,
            **options.arguments,
            random_seed=seed,
        )
        measured = lr_range(specification, min_lr=min_lr, max_lr=max_lr, steps=steps)
    if figure is not None:
        from deepobs_analysis.plots.lr_ranges import lr_range as draw
        from deepobs_analysis.plots.rendering import write

        write(draw(measured), figure)
    if as_json:
        screen.show_json(measured.for_json())
        return
    _show(measured, (options.problem, options.optimizer))
    if figure is not None:
        screen.show_text(f"Written to {figure}")


def _show(measured: LrRange, words: tuple[str, str]) -> None:
    """Show what was measured of a problem and an optimizer, as they were typed."""
    specification = measured.specification
    name = clean(f"{specification.optimizer} on {specification.testproblem}")
    screen.show(f"{name}, seed {specification.random_seed}", is_heading=True)
    steps, first, last = counted(len(measured.lrs), "step"), measured.lrs[0], measured.lrs[-1]
    screen.show_text(f"{steps}, learning rates from {first:.2g} to {last:.2g}.")
    screen.show()
    suggested = measured.suggested_range
    if suggested is None or measured.steepest is None or measured.lowest is None:
        screen.show_text("The objective falls clearly at none of them: give another range.")
        return
    diverged = "none of them" if measured.diverged is None else f"{measured.diverged:.2g}"
    screen.show_fields(
        {
            "Falls fastest": f"{measured.steepest:.2g}",
            "Lowest": f"{measured.lowest:.2g}",
            "Diverges": diverged,
        }
    )
    screen.show()
    if measured.lowest == last:
        screen.show_text(f"It still falls at {last:.2g}: look further with a larger --max-lr.")
    low, high = suggested
    space = f"lr=log:{low:.1e}:{high:.1e}"
    screen.show_text("To search around the fastest fall:")
    command_line = clean(shlex.join(["deepobs", "tune", *words, "--space", space]))
    screen.show(f"  {command_line}")
