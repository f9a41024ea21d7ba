"""`deepobs run`: train one optimizer on one test problem."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepobs.cli.hyperparameters import parsed_hyperparameters, parsed_schedule
from deepobs.cli.own_code import current_directory_on_the_import_path, failures_shown_where_they_are
from deepobs.cli.screen import show

if TYPE_CHECKING:
    from deepobs.runs import RunSpecification


@click.command("run")
@click.argument("problem")
@click.argument("optimizer")
@click.option("--lr", type=float, help="Learning rate; the optimizer's default if left out.")
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyperparameter of the optimizer, such as momentum=0.9. May be repeated.",
)
@click.option("--epochs", type=int, help="Passes over the training set [default: the problem's].")
@click.option("--batch-size", type=int, help="Examples a step [default: the problem's].")
@click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    help="Seed of everything random [default: 42]. May be repeated: a run for each.",
)
@click.option(
    "--weight-decay", type=float, help="Factor of the regulariser [default: the problem's]."
)
@click.option(
    "--lr-schedule",
    "schedule",
    multiple=True,
    metavar="EPOCH:FACTOR",
    help="From this epoch on, the learning rate is FACTOR times the first one. May be repeated.",
)
@click.option(
    "--validation-size",
    type=int,
    default=0,
    show_default=True,
    help="Training examples held out for validation.",
)
@click.option(
    "--full-evaluation", is_flag=True, help="Evaluate the last, smaller batch of a split, too."
)
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
@click.option("--device", help="Where to run, such as cpu or cuda:0 [default: CUDA if there is].")
@click.option(
    "--dtype",
    type=click.Choice(("float32", "float64", "bfloat16", "float16")),
    help="Floating-point type of data and model [default: float32].",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where data sets are kept (DEEPOBS_DATA_DIR).",
)
@click.option(
    "--fake-data",
    type=float,
    is_flag=False,
    flag_value=1.0,
    metavar="[FRACTION]",
    help="Train on synthetic data of the same shapes, all of it or a FRACTION.",
)
@click.option(
    "--out",
    "output_dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    default=Path("results"),
    show_default=True,
    help="Where to keep result files.",
)
@click.option("--rerun", is_flag=True, help="Run again even where the result is there.")
def command(
    problem: str,
    optimizer: str,
    lr: float | None,
    options: tuple[str, ...],
    epochs: int | None,
    batch_size: int | None,
    seeds: tuple[int, ...],
    weight_decay: float | None,
    schedule: tuple[str, ...],
    validation_size: int,
    full_evaluation: bool,
    bare_losses: bool,
    same_order: bool,
    log_interval: int,
    device: str | None,
    dtype: str | None,
    data_dir: Path | None,
    fake_data: float | None,
    output_dir: Path,
    rerun: bool,
) -> None:
    """Train OPTIMIZER on the test problem PROBLEM and write a result file.

    OPTIMIZER is a name that `deepobs list optimizers` shows, the name of any class of torch.optim,
    or a class of your own as package.module:Class, whose module is installed or lies in the
    current directory. A run whose result is there is skipped.

    \b
    Examples:
      deepobs run quadratic_deep SGD --lr 0.01
      deepobs run digits_mlp Adam --lr 1e-3 -o betas="(0.8, 0.99)" --seed 1 --seed 2
      deepobs run fmnist_2c2d Momentum --lr 0.1 --epochs 20 --lr-schedule 10:0.1
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    import torch

    from deepobs import config
    from deepobs.runs import specify
    from deepobs.runs.specification import DEFAULT_SEED

    hyperparameters = parsed_hyperparameters(lr, options)
    sched_epochs, sched_factors = parsed_schedule(schedule)
    settings: dict[str, Any] = {
        "data_dir": data_dir,
        "fake_data": fake_data,
        "dtype": dtype and getattr(torch, dtype),
    }
    with (
        current_directory_on_the_import_path(),
        failures_shown_where_they_are(f"{optimizer} on {problem}"),
        config.temporary(**{name: s for name, s in settings.items() if s is not None}),
    ):
        specifications = [
            specify(
                problem,
                optimizer,
                hyperparameters,
                batch_size=batch_size,
                num_epochs=epochs,
                random_seed=seed,
                weight_decay=weight_decay,
                lr_sched_epochs=sched_epochs,
                lr_sched_factors=sched_factors,
                validation_size=validation_size,
                full_evaluation=full_evaluation,
                bare_losses=bare_losses,
                reshuffle=not same_order,
                device=device,
                train_log_interval=log_interval,
            )
            for seed in seeds or (DEFAULT_SEED,)
        ]
        _run_all(specifications, output_dir, rerun=rerun)


def _run_all(specifications: list[RunSpecification], output_dir: Path, *, rerun: bool) -> None:
    from deepobs.runs import run, store
    from deepobs.runs.progress import live_progress
    from deepobs.runs.summary import summary_of

    for specification in specifications:
        store.prepare(output_dir)
        found = None if rerun else store.find(output_dir, specification)
        if found is None:
            with live_progress() as observers:
                run(specification, output_dir=output_dir, rerun=True, observers=observers)
            found = store.find(output_dir, specification)
        else:
            show("This run is there already; --rerun does it again.")
        if found is not None:
            path, record = found
            show(summary_of(record))
            show(f"  {path}")
