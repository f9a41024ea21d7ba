"""Arguments and options of commands that train: `run`, `estimate`, `tune`, `bench`, `check`."""

from __future__ import annotations

import contextlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepobs.console.commands import completing, completing_offers, taking
from deepobs.console.parsing import parsed_groups, parsed_hyperparameters, parsed_interval
from deepobs.errors import DeepOBSError, message_of
from deepobs.plugins import registry
from deepobs.plugins.provenance import foreign_traceback, provenance_of
from deepobs.plugins.specs import NEEDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.runs import RunObserver
    from deepobs.runs.checkpoints import CheckpointPlan

_DIRECTORY = click.Path(path_type=Path, file_okay=False)
# Frames of these packages lead to the code that raised, but are of no use to its author.

hyperparameters = click.option(
    "-o",
    "--option",
    "hyperparameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyperparameter of the optimizer, such as momentum=0.9. May be repeated.",
)
validation_size = click.option(
    "--validation-size",
    type=int,
    default=0,
    show_default=True,
    help="Training examples held out for validation.",
)
device = click.option(
    "--device", help="Device of the runs, such as cpu or cuda:0 [default: CUDA if available]."
)
data_dir = click.option(
    "--data-dir",
    type=_DIRECTORY,
    metavar="DIR",
    help="Directory of data sets [default: DEEPOBS_DATA_DIR, else the user's cache].",
)
fake_data = click.option(
    "--fake-data",
    type=float,
    is_flag=False,
    flag_value=1.0,
    metavar="[FRACTION]",
    help="Use synthetic data of the same shapes, in full size or a FRACTION of it.",
)
num_workers = click.option(
    "--workers",
    "num_workers",
    type=int,
    help="Processes that decode images which do not fit into memory [default: number of cores].",
)

_RUN_PARAMETERS = (
    click.argument("problem", shell_complete=completing_offers("problems")),
    click.argument("optimizer", shell_complete=completing_offers("optimizers")),
    click.option("--lr", type=float, help="Learning rate [default: the optimizer's]."),
    hyperparameters,
    click.option(
        "--needs",
        multiple=True,
        metavar="WORD",
        shell_complete=completing(NEEDS),
        help="What the optimizer needs in each step, such as closure [default: inferred]. May be "
        "repeated.",
    ),
    click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="ROLE:NAME=VALUE",
        help="A hyperparameter for one group of parameters: embedding, head, hidden, convolution, "
        "vector or others. May be repeated.",
    ),
    click.option(
        "--epochs", "num_epochs", type=int, help="Number of epochs [default: the problem's]."
    ),
    click.option("--batch-size", type=int, help="Examples per step [default: the problem's]."),
    click.option(
        "--weight-decay",
        type=float,
        help="Weight decay of the problem's regularizer [default: the problem's].",
    ),
    click.option(
        "--full-evaluation",
        is_flag=True,
        help="Evaluate the last, smaller batch of a split, too.",
    ),
    device,
    click.option(
        "--dtype",
        type=click.Choice(("float32", "float64", "bfloat16", "float16")),
        help="Floating-point type of data and model [default: float32].",
    ),
    data_dir,
    fake_data,
    num_workers,
)


_RESULT_PARAMETERS = (
    click.option(
        "--out",
        "output_dir",
        type=_DIRECTORY,
        metavar="DIR",
        default=Path("results"),
        show_default=True,
        help="Directory of result files.",
    ),
    click.option(
        "--checkpoint-every",
        callback=parsed_interval,
        metavar="TIME|EPOCHS",
        help="Write checkpoints to resume from: every 10min, 2h, 5epochs, ...",
    ),
    click.option(
        "--resume", is_flag=True, help="Resume interrupted runs from their checkpoints, if any."
    ),
    click.option(
        "--tensorboard",
        type=_DIRECTORY,
        metavar="DIR",
        help="Write logs for TensorBoard, which needs deepobs-core[tensorboard].",
    ),
)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a command trains, from the arguments and options of `takes_run`.

    Attributes:
        problem: Name of the test problem.
        optimizer: Name or import string of the optimizer.
        hyperparameters: Hyperparameters of the optimizer by name.
        arguments: Further arguments of `deepobs.runs.specify` by name.
        settings: Arguments of `configured`.
    """

    problem: str
    optimizer: str
    hyperparameters: dict[str, Any]
    arguments: dict[str, Any]
    settings: dict[str, Any]

    def configured(self) -> contextlib.AbstractContextManager[None]:
        """Put the options into effect and let the optimizer be the user's own code."""
        return configured(f"{self.optimizer} on {self.problem}", **self.settings)


@dataclass(frozen=True, slots=True)
class ResultOptions:
    """What a command keeps of its runs, from the options of `takes_results`.

    Attributes:
        output_dir: Directory of result files.
        checkpoints: When to write checkpoints and whether to resume; `None` for neither.
        observers: Observers of the runs.
    """

    output_dir: Path
    checkpoints: CheckpointPlan | None
    observers: tuple[RunObserver, ...]


def _run_options(
    problem: str,
    optimizer: str,
    lr: float | None,
    hyperparameters: tuple[str, ...],
    needs: tuple[str, ...],
    groups: tuple[str, ...],
    num_epochs: int | None,
    batch_size: int | None,
    weight_decay: float | None,
    full_evaluation: bool,
    device: str | None,
    dtype: str | None,
    data_dir: Path | None,
    fake_data: float | None,
    num_workers: int | None,
) -> RunOptions:
    return RunOptions(
        problem,
        optimizer,
        parsed_hyperparameters(lr, hyperparameters),
        {
            "needs": needs or None,
            "parameter_groups": parsed_groups(groups),
            "num_epochs": num_epochs,
            "batch_size": batch_size,
            "weight_decay": weight_decay,
            "full_evaluation": full_evaluation,
            "device": device,
        },
        {
            "dtype": dtype,
            "data_dir": data_dir,
            "fake_data": fake_data,
            "num_workers": num_workers,
        },
    )


def _result_options(
    output_dir: Path,
    checkpoint_every: dict[str, Any],
    resume: bool,
    tensorboard: Path | None,
) -> ResultOptions:
    # These import torch: only when they are used, never for --help or completion.
    checkpoints: CheckpointPlan | None = None
    observers: tuple[RunObserver, ...] = ()
    if checkpoint_every or resume:
        from deepobs.runs.checkpoints import CheckpointPlan

        checkpoints = CheckpointPlan(**checkpoint_every, resume=resume)
    if tensorboard is not None:
        from deepobs.runs.tensorboard import TensorBoardObserver

        observers = (TensorBoardObserver(tensorboard),)
    return ResultOptions(output_dir, checkpoints, observers)


takes_run = taking("options", _RUN_PARAMETERS, _run_options)
"""Decorates a command that trains: its argument `options` is a `RunOptions`."""

takes_results = taking("results", _RESULT_PARAMETERS, _result_options)
"""Decorates a command that writes results: its argument `results` is a `ResultOptions`."""


@contextlib.contextmanager
def configured(doing: str, *, dtype: str | None = None, **settings: Any) -> Iterator[None]:
    """Change `deepobs.config` for a while, and let optimizers be the user's own code.

    Args:
        doing: What fails if that code raises, for the message.
        dtype: Name of a floating-point type, `None` to keep the configured one.
        **settings: Other settings of `deepobs.config.temporary`, `None` to keep one.

    Raises:
        ClickException: Code outside DeepOBS and torch raised; its traceback was shown.
    """
    import torch

    from deepobs import config

    # Outside of the `try`: what happens in a plugin now is no failure of the optimizer.
    registry()
    # Options that were not given must not hide what the environment variables set.
    if dtype is not None:
        settings["dtype"] = getattr(torch, dtype)
    changed = {name: value for name, value in settings.items() if value is not None}
    try:
        with current_directory_importable(), config.temporary(**changed):
            yield
    except (DeepOBSError, click.ClickException, click.Abort):
        raise
    except Exception as error:
        foreign = foreign_traceback(error)
        # Without a frame of another package it is a bug of ours: show the whole traceback.
        if foreign is None:
            raise
        click.echo("".join(traceback.format_exception(error.with_traceback(foreign))), err=True)
        owner = provenance_of(error)
        place = f" in code of {owner}" if owner else ""
        message = f"{doing} failed{place}: {message_of(error)}. No result was written."
        raise click.ClickException(message) from error


@contextlib.contextmanager
def current_directory_importable() -> Iterator[None]:
    """Let `my_module:MyOptimizer` name a file in the current directory."""
    # Plugins are discovered first: they are what is installed, never a file that happens to lie
    # in the current directory.
    registry()
    here = str(Path.cwd())
    # Last, so that a file of the user called random.py or types.py shadows no other module.
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)
