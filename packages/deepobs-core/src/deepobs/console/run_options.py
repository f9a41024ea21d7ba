"""Arguments and options of commands that train: `run`, `estimate`, `tune`, `bench`, `check`."""

from __future__ import annotations

import contextlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepobs.console.offers import KINDS
from deepobs.console.options import completing, interval, parsed_groups, parsed_options
from deepobs.errors import DeepOBSError, message_of, sentences
from deepobs.plugins import registry
from deepobs.plugins.provenance import class_behind, foreign_traceback, provenance_of
from deepobs.plugins.specs import NEEDS
from deepobs.run_specifications import COMPILE_MODES, EVERY_EPOCH, PRECISIONS, STEP_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.runs import RunObserver
    from deepobs.runs.checkpoints import CheckpointPlan

_DIRECTORY = click.Path(path_type=Path, file_okay=False)

HYPERPARAMETERS = click.Option(
    ["-o", "--option", "hyperparameters"],
    multiple=True,
    metavar="NAME=VALUE",
    help="A hyperparameter of the optimizer, such as momentum=0.9. May be repeated.",
)
VALIDATION_SIZE = click.Option(
    ["--validation-size"],
    type=int,
    default=0,
    show_default=True,
    help="Training examples held out for validation.",
)
DEVICE = click.Option(
    ["--device"], help="Device of the runs, such as cpu or cuda:0 [default: CUDA if available]."
)
DATA_DIR = click.Option(
    ["--data-dir"],
    type=_DIRECTORY,
    metavar="DIR",
    help="Directory of data sets [default: DEEPOBS_DATA_DIR, else the user's cache].",
)
FAKE_DATA = click.Option(
    ["--fake-data"],
    type=float,
    is_flag=False,
    flag_value=1.0,
    metavar="[FRACTION]",
    help="Use synthetic data of the same shapes, in full size or a FRACTION of it.",
)
NUM_WORKERS = click.Option(
    ["--workers", "num_workers"],
    type=int,
    help="Processes that decode streaming images, which do not fit into memory [default: number "
    "of cores].",
)

THREADS = click.Option(
    ["--threads", "num_threads"],
    type=click.IntRange(min=1),
    help="CPU threads of each run, on which its last bits depend [default: 1 for small problems, "
    "else all cores].",
)

STEP_PARAMETERS: tuple[click.Parameter, ...] = (
    click.Option(
        ["--precision"],
        type=click.Choice(PRECISIONS),
        help="Evaluate the model in torch.autocast [default: in the dtype].",
    ),
    click.Option(
        ["--accumulate"],
        type=int,
        default=1,
        show_default=True,
        metavar="PARTS",
        help="Micro-batches of a batch whose gradients are added up, to save memory.",
    ),
    click.Option(
        ["--clip-norm"], type=float, help="Scale gradients down to this norm [default: no limit]."
    ),
    click.Option(
        ["--clip-value"],
        type=float,
        help="Limit components of gradients to this absolute value [default: no limit].",
    ),
    click.Option(
        ["--log-gradient-norm"],
        is_flag=True,
        help="Record norms of gradients besides minibatch losses; always done with --clip-norm.",
    ),
    click.Option(
        ["--compile", "compile_mode"],
        type=click.Choice(COMPILE_MODES),
        is_flag=False,
        flag_value="default",
        metavar="[MODE]",
        help=f"Compile the model with torch.compile, in a MODE: {', '.join(COMPILE_MODES)}.",
    ),
    click.Option(
        ["--channels-last"],
        is_flag=True,
        help="Store images and kernels of convolutions with their channels last.",
    ),
)

RUN_PARAMETERS: tuple[click.Parameter, ...] = (
    click.Argument(["problem"], shell_complete=completing(KINDS["problems"].summaries)),
    click.Argument(["optimizer"], shell_complete=completing(KINDS["optimizers"].summaries)),
    click.Option(["--lr"], type=float, help="Learning rate [default: the optimizer's]."),
    HYPERPARAMETERS,
    click.Option(
        ["--needs"],
        multiple=True,
        metavar="WORD",
        shell_complete=completing(NEEDS),
        help=f"What the optimizer needs in each step: {', '.join(NEEDS)} [default: inferred]. May "
        "be repeated.",
    ),
    click.Option(
        ["--group", "groups"],
        multiple=True,
        metavar="ROLE:NAME=VALUE",
        help="A hyperparameter for one group of parameters: embedding, head, hidden, convolution, "
        "vector or others. ROLE alone makes a group with the defaults. May be repeated.",
    ),
    click.Option(
        ["--epochs", "num_epochs"], type=int, help="Number of epochs [default: the problem's]."
    ),
    click.Option(
        ["--max-steps"],
        type=int,
        help="End the run after so many steps, also within an epoch [default: no limit].",
    ),
    click.Option(
        ["--train-fraction"],
        type=float,
        default=1.0,
        show_default=True,
        help="Part of the training examples to train on.",
    ),
    click.Option(
        ["--evaluate-every"],
        metavar="EPOCHS|STEPS",
        default=EVERY_EPOCH,
        show_default=True,
        help="Evaluate before training, every 5epochs or 500steps, and at the end.",
    ),
    click.Option(
        ["--bn-recalibration"],
        type=int,
        metavar="BATCHES",
        help="Training batches from which statistics of batch normalization are computed for "
        "evaluations, 0 for those of training [default: 50 for optimizers with modes, else 0].",
    ),
    *STEP_PARAMETERS,
    click.Option(["--batch-size"], type=int, help="Examples per step [default: the problem's]."),
    click.Option(
        ["--weight-decay"],
        type=float,
        help="Weight decay of the problem's regularizer [default: the problem's].",
    ),
    click.Option(
        ["--full-evaluation"],
        is_flag=True,
        help="Also evaluate the last, smaller batch of each split.",
    ),
    DEVICE,
    click.Option(
        ["--dtype"],
        type=click.Choice(("float32", "float64", "bfloat16", "float16")),
        help="Floating-point type of data and model [default: float32].",
    ),
    THREADS,
    DATA_DIR,
    FAKE_DATA,
    NUM_WORKERS,
)


def _epoch_and_factor(text: str) -> tuple[int, float]:
    """Read `60:0.2`; a type of click."""
    epoch, _, factor = text.partition(":")
    try:
        return int(epoch), float(factor)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not EPOCH:FACTOR, such as 60:0.2.") from None


SCHEDULE_PARAMETERS: tuple[click.Parameter, ...] = (
    click.Option(
        ["--lr-schedule", "schedule"],
        type=_epoch_and_factor,
        multiple=True,
        metavar="EPOCH:FACTOR",
        help="Multiply the initial learning rate by FACTOR from EPOCH on. May be repeated.",
    ),
    click.Option(
        ["--lr-scheduler"],
        metavar="NAME",
        help="constant, warmup, cosine, trapezoid, recommended (that of the problem), or a class "
        "of torch.optim.lr_scheduler, such as StepLR.",
    ),
    click.Option(
        ["--lr-scheduler-option", "lr_scheduler_options"],
        multiple=True,
        metavar="NAME=VALUE",
        help="An argument of the scheduler, such as warmup=0.05 (a fraction of the run) or "
        "warmup=100 (steps), T_max=num_epochs or metric=valid_loss. May be repeated.",
    ),
    click.Option(
        ["--lr-scheduler-interval"],
        type=click.Choice(("epoch", "step")),
        help="When a class of torch steps.  [default: epoch]",
    ),
)

RESULT_PARAMETERS: tuple[click.Parameter, ...] = (
    click.Option(
        ["--out", "output_dir"],
        type=_DIRECTORY,
        metavar="DIR",
        default=Path("results"),
        show_default=True,
        help="Directory of result files.",
    ),
    click.Option(
        ["--checkpoint-every"],
        type=interval,
        metavar="TIME|EPOCHS",
        help="Write checkpoints to resume from: every 10min, 2h, 5epochs, ...",
    ),
    click.Option(
        ["--resume"], is_flag=True, help="Resume interrupted runs from their checkpoints, if any."
    ),
    click.Option(
        ["--track", "trackers"],
        multiple=True,
        metavar="NAME[=PLACE]",
        shell_complete=completing(KINDS["trackers"].summaries),
        help="Log the runs with a tracker: mlflow, tensorboard, trackio or wandb, each an extra of "
        "deepobs-core; and where: tensorboard=DIR, wandb=PROJECT, ... May be repeated.",
    ),
)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a command trains, from the values of `RUN_PARAMETERS`.

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

    @classmethod
    def taken_from(cls, values: dict[str, Any]) -> RunOptions:
        """Take the values of `RUN_PARAMETERS` out of those of a command."""
        lr, groups = values.pop("lr"), values.pop("groups")
        given = {} if lr is None else {"lr": lr}
        arguments = (
            *("num_epochs", "max_steps", "train_fraction", "batch_size", "weight_decay"),
            *("evaluate_every", "bn_recalibration", "full_evaluation", "device"),
            *(*STEP_OPTIONS, "log_gradient_norm"),
        )
        settings = ("dtype", "data_dir", "fake_data", "num_workers", "num_threads")
        return cls(
            values.pop("problem"),
            values.pop("optimizer"),
            parsed_options(given, values.pop("hyperparameters"), "-o", "The hyperparameter"),
            {
                "needs": values.pop("needs") or None,
                "parameter_groups": parsed_groups(groups) if groups else None,
                **{name: values.pop(name) for name in arguments},
            },
            {name: values.pop(name) for name in settings},
        )

    def configured(self) -> contextlib.AbstractContextManager[None]:
        """Put the options into effect and let the optimizer be the user's own code."""
        return configured(f"{self.optimizer} on {self.problem}", **self.settings)


@dataclass(frozen=True, slots=True)
class ResultOptions:
    """What a command keeps of its runs, from the values of `RESULT_PARAMETERS`.

    Attributes:
        output_dir: Directory of result files.
        checkpoints: When to write checkpoints and whether to resume; `None` for neither.
        observers: Observers of the runs.
    """

    output_dir: Path
    checkpoints: CheckpointPlan | None
    observers: tuple[RunObserver, ...]

    @classmethod
    def taken_from(cls, values: dict[str, Any], *, is_dry: bool = False) -> ResultOptions:
        """Take the values of `RESULT_PARAMETERS` out of those of a command.

        Args:
            values: The values of all its parameters, from which these are removed.
            is_dry: Whether nothing is to be executed: then no tracker is opened.
        """
        every, resume = values.pop("checkpoint_every"), values.pop("resume")
        trackers = values.pop("trackers")
        # These import torch: only when they are used, never for --help or completion.
        checkpoints: CheckpointPlan | None = None
        observers: tuple[RunObserver, ...] = ()
        if every or resume:
            from deepobs.runs.checkpoints import CheckpointPlan

            checkpoints = CheckpointPlan(**(every or {}), resume=resume)
        if trackers and not is_dry:
            from deepobs.runs.trackers import open_trackers

            observers = tuple(open_trackers(trackers))
        return cls(values.pop("output_dir"), checkpoints, observers)


def schedule_from(values: dict[str, Any]) -> dict[str, Any]:
    """Take the values of `SCHEDULE_PARAMETERS` out of those of a command.

    Returns:
        Arguments of `deepobs.runs.specify`.

    Raises:
        UsageError: An option belongs to a scheduler, but there is none.
    """
    steps, name = values.pop("schedule"), values.pop("lr_scheduler")
    options, when = values.pop("lr_scheduler_options"), values.pop("lr_scheduler_interval")
    scheduler: dict[str, Any] | None = None
    if name is not None:
        arguments = parsed_options({}, options, "--lr-scheduler-option", "The scheduler's argument")
        scheduler = {"name": name, "arguments": arguments}
        if when is not None:
            scheduler["every"] = when
    elif options or when is not None:
        given = ", ".join(options) or f"--lr-scheduler-interval {when}"
        raise click.UsageError(f"{given} needs a scheduler: add --lr-scheduler NAME.")
    return {
        "lr_sched_epochs": [epoch for epoch, _ in steps] or None,
        "lr_sched_factors": [factor for _, factor in steps] or None,
        "lr_scheduler": scheduler,
    }


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
        behind = class_behind(error) if foreign is None else ""
        # Without code of another package it is a bug of ours: show the whole traceback.
        if foreign is None and not behind:
            raise
        hints = getattr(error, "__notes__", [])
        owner = provenance_of(error)
        place = f" in code of {owner}" if owner else ""
        if foreign is None:
            place = f" in PyTorch, on behalf of {behind}"
        else:
            error.__notes__ = []  # the message below ends with them
            trace = traceback.format_exception(error.with_traceback(foreign))
            click.echo("".join(trace), err=True)
        message = f"{doing} failed{place}: {message_of(error).rstrip('. ')}."
        raise click.ClickException(sentences(message, "No result was written.", *hints)) from error


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
