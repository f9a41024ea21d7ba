"""Arguments and options of the commands that train, and the settings that they stand for."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepobs.cli.arguments import completing, completing_offers
from deepobs.cli.checkpoints import parsed_rhythm
from deepobs.cli.own_code import current_directory_on_the_import_path, failures_shown_where_they_are
from deepobs.plugins.specs import NEEDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.runs import RunObserver

problem = click.argument("problem", shell_complete=completing_offers("problems"))
optimizer = click.argument("optimizer", shell_complete=completing_offers("optimizers"))
lr = click.option("--lr", type=float, help="Learning rate; the optimizer's default if left out.")
hyperparameters = click.option(
    "-o",
    "--option",
    "hyperparameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyperparameter of the optimizer, such as momentum=0.9. May be repeated.",
)
needs = click.option(
    "--needs",
    multiple=True,
    metavar="WORD",
    shell_complete=completing(lambda: NEEDS),
    help="What the optimizer needs, such as closure [default: found out]. May be repeated.",
)
groups = click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="ROLE:NAME=VALUE",
    help="A hyperparameter for embedding, head, hidden, convolution, vector or others only. May be "
    "repeated.",
)
epochs = click.option(
    "--epochs", type=int, help="Passes over the training set [default: the problem's]."
)
batch_size = click.option(
    "--batch-size", type=int, help="Examples a step [default: the problem's]."
)
weight_decay = click.option(
    "--weight-decay", type=float, help="Factor of the regulariser [default: the problem's]."
)
validation_size = click.option(
    "--validation-size",
    type=int,
    default=0,
    show_default=True,
    help="Training examples held out for validation.",
)
full_evaluation = click.option(
    "--full-evaluation", is_flag=True, help="Evaluate the last, smaller batch of a split, too."
)
device = click.option(
    "--device", help="Where to run, such as cpu or cuda:0 [default: CUDA if there is]."
)
dtype = click.option(
    "--dtype",
    type=click.Choice(("float32", "float64", "bfloat16", "float16")),
    help="Floating-point type of data and model [default: float32].",
)
data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where data sets are kept (DEEPOBS_DATA_DIR).",
)
fake_data = click.option(
    "--fake-data",
    type=float,
    is_flag=False,
    flag_value=1.0,
    metavar="[FRACTION]",
    help="Train on synthetic data of the same shapes, all of it or a FRACTION.",
)
num_workers = click.option(
    "--workers",
    "num_workers",
    type=int,
    help="Processes that decode images which do not fit into memory [default: the cores].",
)

jobs = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many runs at a time.",
)
executor = click.option(
    "--executor",
    default="processes",
    show_default=True,
    shell_complete=completing_offers("executors"),
    help="Who carries out the runs; `deepobs list executors` shows all.",
)
scheduler = click.option(
    "--scheduler", metavar="ADDRESS", help="Address of the scheduler of a cluster."
)
output_dir = click.option(
    "--out",
    "output_dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    default=Path("results"),
    show_default=True,
    help="Where to keep result files.",
)
checkpoint_every = click.option(
    "--checkpoint-every",
    callback=parsed_rhythm,
    metavar="TIME|EPOCHS",
    help="Keep what a run needs to go on after an interruption: every 10min, 2h, 5epochs, ...",
)
resume = click.option(
    "--resume", is_flag=True, help="Go on from the checkpoint of an interrupted run, if it has one."
)


def _tensorboard_observers(
    context: click.Context, _parameter: click.Parameter, directory: Path | None
) -> tuple[RunObserver, ...]:
    if directory is None or context.resilient_parsing:
        return ()
    from deepobs.runs.tensorboard import TensorBoardObserver

    return (TensorBoardObserver(directory),)


tensorboard = click.option(
    "--tensorboard",
    "observers",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_tensorboard_observers,
    metavar="DIR",
    help="Write logs of the runs for TensorBoard, which needs deepobs-core[tensorboard].",
)


@contextlib.contextmanager
def in_force(
    doing: str,
    *,
    dtype: str | None,
    data_dir: Path | None,
    fake_data: float | None,
    num_workers: int | None,
) -> Iterator[None]:
    """Let settings hold for a while, and let the optimizer be code of the user's own.

    Args:
        doing: What is to be said to have failed where that code fails.
        dtype: Name of a floating-point type, `None` to leave the setting as it is.
        data_dir: Where data sets are kept, `None` to leave the setting as it is.
        fake_data: Size of synthetic data sets, `None` to leave the setting as it is.
        num_workers: Number of worker processes, `None` to leave the setting as it is.
    """
    import torch

    from deepobs import config

    settings: dict[str, Any] = {
        "data_dir": data_dir,
        "fake_data": fake_data,
        "num_workers": num_workers,
        "dtype": dtype and getattr(torch, dtype),
    }
    with (
        current_directory_on_the_import_path(),
        failures_shown_where_they_are(doing),
        config.temporary(**{name: s for name, s in settings.items() if s is not None}),
    ):
        yield
