"""The runners of the original: the same calls, on top of `run`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

import click

from deepobs import config
from deepobs.errors import ArgumentError
from deepobs.runs.execution import run
from deepobs.runs.hyperparameters import completed, declared
from deepobs.runs.optimizers import check_class, unknown_hyperparameters
from deepobs.runs.progress import live_progress
from deepobs.runs.script import arguments_from_command_line, exit_on_mistake
from deepobs.runs.specification import specify
from deepobs.runs.summary import summary_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from deepobs.records import RunRecord

_Path = str | os.PathLike[str]
_SPECIFIED = (
    "batch_size",
    "num_epochs",
    "random_seed",
    "weight_decay",
    "device",
    "validation_size",
    "train_log_interval",
)
_FLAGS = ("full_evaluation", "bare_losses", "reshuffle", "no_logs", "rerun")
_RESERVED = {"testproblem", "data_dir", "output_dir", *_SPECIFIED, *_FLAGS} - {"weight_decay"}
"""What no hyperparameter can be called, because `run` has an argument of this name."""

_DEFAULT_OUTPUT_DIR = "./results"


class StandardRunner:
    """Trains an optimizer with constant hyperparameters.

    Args:
        optimizer_class: The optimizer to benchmark.
        hyperparams: Its hyperparameters, `[{"name": "momentum", "type": float, "default": 0.9}]`
            or `{"momentum": {"type": float, "default": 0.9}}`. One without a default must be given
            to every run. The learning rate `lr` need not be declared. Where a `weight_decay` is
            declared, the argument of `run` sets that instead of the problem's regulariser.

    Raises:
        ArgumentError: The hyperparameters are declared in another form, one is called like
            another argument of `run`, or the class is no optimizer.
    """

    _schedule: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        optimizer_class: type[torch.optim.Optimizer],
        hyperparams: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.optimizer_class = check_class(optimizer_class)
        self.hyperparameters = declared(
            hyperparams, takes_lr=not unknown_hyperparameters(optimizer_class, ["lr"])
        )
        reserved = sorted(self.hyperparameters.keys() & {*_RESERVED, *self._schedule})
        if reserved:
            raise ArgumentError(
                f"A hyperparameter cannot be called {reserved[0]!r}, like an argument of run. "
                "Give the optimizer a subclass with another name for it."
            )

    def run(
        self,
        testproblem: str | None = None,
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
        rerun: bool = False,
        **hyperparameters: Any,
    ) -> RunRecord:
        """Train on a test problem and measure before and after every epoch.

        Without a test problem it is the main function of a script: what the call leaves out is
        taken from the command line, and a line says how it ended. With one, the command line is not
        looked at, and what is left out takes its default.

        Args:
            testproblem: Name of a test problem.
            batch_size: Examples a step; the problem's default if left out.
            num_epochs: Passes over the training set; the problem's default if left out.
            random_seed: Seed of everything random, 42 if left out.
            weight_decay: Factor of the problem's regulariser; the problem's default if left out.
                Where the runner declares a hyperparameter of this name, that of the optimizer.
            data_dir: Where data sets are kept; `config.get_data_dir()` if left out.
            output_dir: Where to keep the result file, `./results` if left out.
            device: Where to run; `config.get_default_device()` if left out.
            validation_size: Number of training examples held out for validation, 0 if left out.
            train_log_interval: Steps from one recorded minibatch loss to the next, 10 if left out.
            full_evaluation: Include the last, smaller batch of a split in evaluation.
            bare_losses: Leave the regulariser out of reported losses.
            reshuffle: Draw a new order of the training data for every epoch.
            no_logs: Write no result file.
            rerun: Do it again even where its result is there.
            hyperparameters: Values by name; those with a default may be left out.

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
        }
        # None stands for what is left out, but may well be the value of a hyperparameter.
        may_be_none = hyperparameters.keys() - set(self._schedule)
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
            return self._run(given, flags, no_logs=no_logs, rerun=rerun)
        given |= arguments_from_command_line(
            self.hyperparameters, given, has_schedule=bool(self._schedule)
        )
        with exit_on_mistake():
            record = self._run(given, flags, no_logs=no_logs, rerun=rerun)
        click.echo(summary_of(record))
        return record

    def _run(
        self, given: dict[str, Any], flags: dict[str, Any], *, no_logs: bool, rerun: bool
    ) -> RunRecord:
        testproblem = given.pop("testproblem")
        data_dir = given.pop("data_dir", None)
        output_dir = given.pop("output_dir", _DEFAULT_OUTPUT_DIR)
        names = (given.keys() & {*_SPECIFIED, *self._schedule}) - self.hyperparameters.keys()
        specified = {name: given.pop(name) for name in names}
        values = completed(self.hyperparameters, given)
        settings = {} if data_dir is None else {"data_dir": data_dir}
        with config.temporary(**settings), live_progress() as observers:
            specification = specify(testproblem, self.optimizer_class, values, **specified, **flags)
            return run(
                specification,
                optimizer_class=self.optimizer_class,
                output_dir=None if no_logs else output_dir,
                rerun=rerun,
                observers=observers,
            )


class LearningRateScheduleRunner(StandardRunner):
    """Trains an optimizer with a learning rate that changes at given epochs.

    See `StandardRunner` for its arguments.
    """

    _schedule = ("lr_sched_epochs", "lr_sched_factors")

    def run(
        self,
        testproblem: str | None = None,
        *,
        lr_sched_epochs: Sequence[int] | None = None,
        lr_sched_factors: Sequence[float] | None = None,
        **arguments: Any,
    ) -> RunRecord:
        """Train on a test problem with a step schedule.

        Args:
            testproblem: Name of a test problem; see `StandardRunner.run` for what it means to
                leave it out.
            lr_sched_epochs: Epochs after which the learning rate changes, increasing.
            lr_sched_factors: What the initial learning rate is multiplied by from then on.
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
