"""`deepobs run`: train one optimizer on one test problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deepobs.cli import options
from deepobs.cli.checkpoints import checkpoint_plan, interruption_explained
from deepobs.cli.hyperparameters import (
    parsed_groups,
    parsed_hyperparameters,
    parsed_schedule,
    parsed_scheduler,
)
from deepobs.cli.screen import show

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.cli.checkpoints import Rhythm
    from deepobs.runs import RunObserver, RunSpecification
    from deepobs.runs.checkpoints import CheckpointPlan


@click.command("run")
@options.problem
@options.optimizer
@options.lr
@options.hyperparameters
@options.needs
@options.groups
@options.epochs
@options.batch_size
@click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    help="Seed of everything random [default: 42]. May be repeated: a run for each.",
)
@options.weight_decay
@click.option(
    "--lr-schedule",
    "schedule",
    multiple=True,
    metavar="EPOCH:FACTOR",
    help="From this epoch on, the learning rate is FACTOR times the first one. May be repeated.",
)
@click.option(
    "--lr-scheduler",
    metavar="NAME",
    help="A class of torch.optim.lr_scheduler that sets the learning rate, such as StepLR.",
)
@click.option(
    "--lr-scheduler-option",
    "lr_scheduler_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of the scheduler, such as step_size=10 or T_max=num_epochs. May be repeated.",
)
@click.option(
    "--lr-scheduler-every",
    type=click.Choice(("epoch", "step")),
    default="epoch",
    show_default=True,
    help="When the scheduler goes on.",
)
@options.validation_size
@options.full_evaluation
@click.option("--bare-losses", is_flag=True, help="Leave the regulariser out of reported losses.")
@click.option(
    "--same-order",
    is_flag=True,
    help="Repeat the order of the first epoch, as the paper's runs do.",
)
@click.option(
    "--log-interval",
    type=int,
    default=10,
    show_default=True,
    help="Steps from one recorded minibatch loss to the next.",
)
@options.device
@options.dtype
@options.data_dir
@options.fake_data
@options.num_workers
@options.output_dir
@options.checkpoint_every
@options.resume
@options.tensorboard
@click.option("--rerun", is_flag=True, help="Run again even where the result is there.")
def command(
    problem: str,
    optimizer: str,
    lr: float | None,
    hyperparameters: tuple[str, ...],
    needs: tuple[str, ...],
    groups: tuple[str, ...],
    epochs: int | None,
    batch_size: int | None,
    seeds: tuple[int, ...],
    weight_decay: float | None,
    schedule: tuple[str, ...],
    lr_scheduler: str | None,
    lr_scheduler_options: tuple[str, ...],
    lr_scheduler_every: str,
    validation_size: int,
    full_evaluation: bool,
    bare_losses: bool,
    same_order: bool,
    log_interval: int,
    device: str | None,
    dtype: str | None,
    data_dir: Path | None,
    fake_data: float | None,
    num_workers: int | None,
    output_dir: Path,
    checkpoint_every: Rhythm | None,
    resume: bool,
    observers: tuple[RunObserver, ...],
    rerun: bool,
) -> None:
    """Train OPTIMIZER on the test problem PROBLEM and write a result file.

    OPTIMIZER is a name that `deepobs list optimizers` shows, the name of any class of torch.optim,
    or a class of your own as package.module:Class, whose module is installed or lies in the
    current directory. A run whose result is there is skipped.

    \b
    Examples:
      deepobs run quadratic_deep SGD --lr 0.01
      deepobs run digits_mlp Adam -o betas="(0.8, 0.99)" --seed 1 --seed 2
      deepobs run fmnist_2c2d Momentum --lr 0.1 --epochs 20 --lr-schedule 10:0.1
      deepobs run digits_mlp SGD --lr-scheduler StepLR \\
          --lr-scheduler-option step_size=5
      deepobs run tolstoi_char_rnn SGD --lr 1.5 --checkpoint-every 10min --resume
      deepobs run digits_mlp Muon --group hidden --group others:optimizer=AdamW
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    from deepobs.runs import specify
    from deepobs.runs.specification import DEFAULT_SEED

    chosen = parsed_hyperparameters(lr, hyperparameters)
    sched_epochs, sched_factors = parsed_schedule(schedule)
    scheduler = parsed_scheduler(lr_scheduler, lr_scheduler_options, lr_scheduler_every)
    doing = f"{optimizer} on {problem}"
    with options.in_force(
        doing, dtype=dtype, data_dir=data_dir, fake_data=fake_data, num_workers=num_workers
    ):
        specifications = [
            specify(
                problem,
                optimizer,
                chosen,
                needs=needs or None,
                parameter_groups=parsed_groups(groups),
                batch_size=batch_size,
                num_epochs=epochs,
                random_seed=seed,
                weight_decay=weight_decay,
                lr_sched_epochs=sched_epochs,
                lr_sched_factors=sched_factors,
                lr_scheduler=scheduler,
                validation_size=validation_size,
                full_evaluation=full_evaluation,
                bare_losses=bare_losses,
                reshuffle=not same_order,
                device=device,
                train_log_interval=log_interval,
            )
            for seed in seeds or (DEFAULT_SEED,)
        ]
        plan = checkpoint_plan(checkpoint_every, resume=resume)
        _run_all(specifications, output_dir, plan, observers, rerun=rerun)


def _run_all(
    specifications: list[RunSpecification],
    output_dir: Path,
    checkpoints: CheckpointPlan | None,
    observers: tuple[RunObserver, ...],
    *,
    rerun: bool,
) -> None:
    from deepobs.runs import run, store
    from deepobs.runs.progress import live_progress
    from deepobs.runs.summary import summary_of

    for specification in specifications:
        store.prepare(output_dir)
        found = None if rerun else store.find(output_dir, specification)
        if found is None:
            with (
                interruption_explained(output_dir, specification),
                live_progress() as progress,
            ):
                run(
                    specification,
                    output_dir=output_dir,
                    rerun=True,
                    observers=[*progress, *observers],
                    checkpoints=checkpoints,
                )
            found = store.find(output_dir, specification)
        else:
            show("This run is there already; --rerun does it again.")
        if found is not None:
            path, record = found
            show(summary_of(record))
            show(f"  {path}")
