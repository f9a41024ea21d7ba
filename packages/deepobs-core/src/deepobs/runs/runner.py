"""The runners of the original: the same calls, on top of `run`, and its command line of scripts."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from deepobs import config
from deepobs.errors import ArgumentError, DeepOBSError, closest, sentences
from deepobs.run_specifications import STEP_OPTIONS
from deepobs.runs.constructors import unknown_hyperparameters
from deepobs.runs.execution import run
from deepobs.runs.optimizers import check_class
from deepobs.runs.progress import live_progress, summary_of
from deepobs.runs.specification import specify

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from deepobs.protocols import TestProblem
    from deepobs.records import RunRecord
    from deepobs.runs.execution import RunObserver

_Path = str | os.PathLike[str]


_REQUIRED: Any = object()
"""The default of a hyperparameter that has none."""


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A hyperparameter of an optimizer.

    Attributes:
        name: Its name in the optimizer's constructor.
        type: Converts text from the command line to a value.
        default: Its value if none is given.
    """

    name: str
    type: Any = float
    default: Any = _REQUIRED


class _NumberList(click.ParamType[list[Any]]):
    """Numbers separated by commas.

    Args:
        number: `int` or `float`.
    """

    name = "numbers"

    def __init__(self, number: type[int] | type[float]) -> None:
        self._number = number

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[Any]:
        """Turn `10,20` into `[10, 20]`."""
        try:
            return [self._number(part) for part in str(value).split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 10,20.", param, ctx)


_OPTIONS: dict[str, tuple[Any, str]] = {
    "batch_size": (int, "Examples per step."),
    "num_epochs": (int, "Passes over the training set."),
    "random_seed": (int, "Seed of all random numbers."),
    "weight_decay": (float, "Factor of the problem's regularizer."),
    "data_dir": (str, "Directory of data sets."),
    "output_dir": (str, "Directory of results."),
    "device": (str, "Device, such as cpu or cuda:0."),
    "validation_size": (int, "Training examples held out for validation."),
    "train_log_interval": (int, "Steps from one recorded minibatch loss to the next."),
    "precision": (str, "Evaluate the model in torch.autocast: bf16 or fp16."),
    "accumulate": (int, "Micro-batches of a batch whose gradients are added up."),
    "clip_norm": (float, "Scale gradients down to this norm."),
    "clip_value": (float, "Limit components of gradients to this absolute value."),
    "log_gradient_norm": (bool, "Record norms of gradients: true or false."),
    "compile_mode": (str, "Mode of torch.compile, such as default."),
    "channels_last": (bool, "Store images with their channels last: true or false."),
}
"""Arguments of `run` that scripts take from the command line: their types and help."""

_SCHEDULE_OPTIONS: dict[str, tuple[Any, str]] = {
    "lr_sched_epochs": (_NumberList(int), "Epochs after which the learning rate changes: 5,8"),
    "lr_sched_factors": (_NumberList(float), "Factors of the initial rate from then on: 0.1,0.01"),
}
_TRACK = "Log the run with a tracker: mlflow, wandb, tensorboard=DIR, ... May be repeated."
_FLAGS = ("full_evaluation", "bare_losses", "reshuffle", "no_logs", "overwrite")
# Those of steps are not reserved: many optimizers have such a hyperparameter.
_RESERVED = {"testproblem", "track", *_OPTIONS, *_FLAGS} - {"weight_decay", *STEP_OPTIONS}
"""Names that hyperparameters cannot have, because `run` has an argument of this name."""


class StandardRunner:
    """Trains an optimizer with constant hyperparameters.

    Args:
        optimizer_class: The optimizer to benchmark.
        hyperparams: Its hyperparameters, `[{"name": "momentum", "type": float, "default": 0.9}]`
            or `{"momentum": {"type": float, "default": 0.9}}`. One without a default must be given
            to every run. The learning rate `lr` need not be declared. If a `weight_decay` is
            declared, the argument of `run` sets that instead of the problem's regularizer; and so
            for options of steps, such as `clip_norm`.

    Raises:
        ArgumentError: The hyperparameters are declared in another form, one is called like
            another argument of `run`, or the class is not an optimizer.
    """

    _schedule: ClassVar[dict[str, tuple[Any, str]]] = {}

    def __init__(
        self,
        optimizer_class: type[torch.optim.Optimizer],
        hyperparams: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.optimizer_class = check_class(optimizer_class)
        self.hyperparameters = _declared(hyperparams)
        if not unknown_hyperparameters(optimizer_class, ["lr"]):
            self.hyperparameters.setdefault("lr", Hyperparameter("lr"))
        reserved = sorted(self.hyperparameters.keys() & {*_RESERVED, *self._schedule})
        if reserved:
            raise ArgumentError(
                f"A hyperparameter cannot be called {reserved[0]!r}, like an argument of run. "
                "Give the optimizer a subclass with another name for it."
            )

    def run(
        self,
        testproblem: str | type[TestProblem] | None = None,
        *,
        batch_size: int | None = None,
        num_epochs: int | None = None,
        random_seed: int | None = None,
        weight_decay: float | None = None,
        data_dir: _Path | None = None,
        output_dir: _Path | None = None,
        device: str | None = None,
        validation_size: int | None = None,
        train_log_interval: int | None = None,
        full_evaluation: bool = False,
        bare_losses: bool = False,
        reshuffle: bool = True,
        no_logs: bool = False,
        overwrite: bool = False,
        track: str | Sequence[str] = (),
        **hyperparameters: Any,
    ) -> RunRecord:
        """Train on a test problem and evaluate before and after every epoch.

        Without a test problem it is the main function of a script: arguments that are not given
        are read from the command line, and a line says how the run ended. With one, the command
        line is not read, and arguments that are not given take their defaults.

        Args:
            testproblem: Name of a test problem, `package.module:Class` or a class.
            batch_size: Examples per step; the problem's default if not given.
            num_epochs: Passes over the training set; the problem's default if not given.
            random_seed: Seed of all random numbers, 42 if not given.
            weight_decay: Factor of the problem's regularizer; the problem's default if not given.
                If the runner declares a hyperparameter of this name, that of the optimizer.
            data_dir: Directory of data sets; `config.get_data_dir()` if not given.
            output_dir: Directory of results, `./results` if not given.
            device: Where to run; `config.get_default_device()` if not given.
            validation_size: Number of training examples held out for validation, 0 if not given.
            train_log_interval: Steps from one recorded minibatch loss to the next, 10 if not given.
            full_evaluation: Include the last, smaller batch of a split in evaluation.
            bare_losses: Exclude the regularizer from reported losses.
            reshuffle: Draw a new order of the training data for every epoch.
            no_logs: Write no result file.
            overwrite: Execute the run even if its result exists.
            track: Trackers that log the run, such as "mlflow" or ["wandb", "tensorboard=logs"].
            hyperparameters: Values by name; those with a default may be omitted. Also options of
                steps: `precision`, `accumulate`, `clip_norm`, `clip_value`, `log_gradient_norm`,
                `compile_mode` and `channels_last`, as `specify` takes them.

        Returns:
            The record of the run.

        Raises:
            DeepOBSError: A name is unknown, a value out of range, or data are missing.
        """
        arguments = {
            "testproblem": testproblem,
            "batch_size": batch_size,
            "num_epochs": num_epochs,
            "random_seed": random_seed,
            "weight_decay": weight_decay,
            "data_dir": data_dir,
            "output_dir": output_dir,
            "device": device,
            "validation_size": validation_size,
            "train_log_interval": train_log_interval,
            "track": track or None,
        }
        # None means "not given" for arguments of run, but can be the value of a hyperparameter.
        may_be_none = hyperparameters.keys() - self._schedule.keys()
        given = {
            name: value
            for name, value in (arguments | hyperparameters).items()
            if value is not None or name in may_be_none
        }
        flags = {
            "full_evaluation": full_evaluation,
            "bare_losses": bare_losses,
            "reshuffle": reshuffle,
        }
        if testproblem is not None:
            return self._run(given, flags, no_logs=no_logs, overwrite=overwrite)
        with _exit_on_mistake():
            given |= self._from_command_line(given)
            record = self._run(given, flags, no_logs=no_logs, overwrite=overwrite)
        click.echo(summary_of(record))
        return record

    def _run(
        self, given: dict[str, Any], flags: dict[str, Any], *, no_logs: bool, overwrite: bool
    ) -> RunRecord:
        testproblem = given.pop("testproblem")
        data_dir = given.pop("data_dir", None)
        output_dir = given.pop("output_dir", "./results")
        trackers: list[RunObserver] = []
        if track := given.pop("track", None):
            # Imported late, since few runs are tracked.
            from deepobs.runs.trackers import open_trackers

            trackers = open_trackers(track)
        names = (given.keys() & {*_OPTIONS, *self._schedule}) - self.hyperparameters.keys()
        specified = {name: given.pop(name) for name in names}
        values = _completed(self.hyperparameters, given)
        settings = {} if data_dir is None else {"data_dir": data_dir}
        with config.temporary(**settings), live_progress() as observers:
            specification = specify(testproblem, self.optimizer_class, values, **specified, **flags)
            return run(
                specification,
                optimizer_class=self.optimizer_class,
                output_dir=None if no_logs else output_dir,
                overwrite=overwrite,
                observers=[*trackers, *observers],
            ).record

    def _from_command_line(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Read the arguments that were not given from `sys.argv`."""
        offered = {
            name: _option(name, kind, text)
            for name, (kind, text) in (_OPTIONS | self._schedule).items()
        }
        for name, hyperparameter in self.hyperparameters.items():
            offered[name] = _hyperparameter_option(name, hyperparameter)
        offered["track"] = click.Option(["--track"], multiple=True, help=_TRACK)
        command = click.Command(
            None,
            params=[
                click.Argument(["testproblem"]),
                *(option for name, option in offered.items() if name not in given),
            ],
            help="Train on TESTPROBLEM and write a result file.",
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        context = command.make_context(Path(sys.argv[0]).name, sys.argv[1:])
        return {name: value for name, value in context.params.items() if value not in (None, ())}


class LearningRateScheduleRunner(StandardRunner):
    """Trains an optimizer with a learning rate that changes at given epochs.

    See `StandardRunner` for its arguments.
    """

    _schedule = _SCHEDULE_OPTIONS

    def run(
        self,
        testproblem: str | type[TestProblem] | None = None,
        *,
        lr_sched_epochs: Sequence[int] | None = None,
        lr_sched_factors: Sequence[float] | None = None,
        **arguments: Any,
    ) -> RunRecord:
        """Train on a test problem with a step schedule.

        Args:
            testproblem: A test problem; see `StandardRunner.run` for calls without one.
            lr_sched_epochs: Epochs after which the learning rate changes, increasing.
            lr_sched_factors: Factors of the initial learning rate from then on.
            arguments: Those of `StandardRunner.run`.

        Returns:
            The record of the run.

        Raises:
            DeepOBSError: A name is unknown, a value out of range, or data are missing.
        """
        return super().run(
            testproblem,
            lr_sched_epochs=lr_sched_epochs,
            lr_sched_factors=lr_sched_factors,
            **arguments,
        )


def _declared(hyperparams: object) -> dict[str, Hyperparameter]:
    """Read the two forms in which hyperparameters are declared, a list and a mapping."""
    if isinstance(hyperparams, Mapping):
        rows = [
            {"name": name, **row} if isinstance(row, Mapping) else (name, row)
            for name, row in hyperparams.items()
        ]
        example = '{"momentum": {"type": float, "default": 0.9}}'
    elif isinstance(hyperparams, Sequence) and not isinstance(hyperparams, str):
        rows = list(hyperparams)
        example = '[{"name": "momentum", "type": float, "default": 0.9}]'
    else:
        raise ArgumentError(f"hyperparams must be a list or a mapping, got {hyperparams!r}.")
    found = {}
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
            raise ArgumentError(f"Hyperparameters are declared as {example}, got {row!r}.")
        unknown = set(row) - {"name", "type", "default"}
        if unknown:
            raise ArgumentError(
                f"The hyperparameter {row['name']!r} is declared with {sorted(unknown)}. "
                "Only name, type and default are known."
            )
        found[row["name"]] = Hyperparameter(**row)
    return found


def _completed(
    hyperparameters: Mapping[str, Hyperparameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Fill in the defaults of declared hyperparameters."""
    for name in given:
        if name not in hyperparameters:
            raise ArgumentError(
                sentences(
                    f"No hyperparameter {name!r} was declared for this runner.",
                    closest(name, hyperparameters),
                    f"Declared: {', '.join(hyperparameters)}.",
                )
            )
    values = {name: given.get(name, one.default) for name, one in hyperparameters.items()}
    missing = [name for name, value in values.items() if value is _REQUIRED]
    if missing:
        raise ArgumentError(f"The hyperparameter {missing[0]!r} has no default: give a value.")
    return values


@contextlib.contextmanager
def _exit_on_mistake() -> Iterator[None]:
    """End the program with a message, not with a traceback, for mistakes and interruptions."""
    try:
        yield
    except click.exceptions.Exit as request:
        sys.exit(request.exit_code)
    except click.ClickException as mistake:
        mistake.show()
        sys.exit(mistake.exit_code)
    except DeepOBSError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        click.echo("Interrupted: no result was written.", err=True)
        sys.exit(130)


def _hyperparameter_option(name: str, hyperparameter: Hyperparameter) -> click.Option:
    is_required = hyperparameter.default is _REQUIRED
    default = "" if is_required else f" [default: {hyperparameter.default}]"
    text = f"Hyperparameter of the optimizer.{default}"
    return _option(name, hyperparameter.type, text, required=is_required)


def _option(name: str, kind: Any, text: str, *, required: bool = False) -> click.Option:
    spellings = [f"--{name}"] + ([f"--{name.replace('_', '-')}"] if "_" in name else [])
    return click.Option([*spellings, name], type=kind, help=text, required=required)
