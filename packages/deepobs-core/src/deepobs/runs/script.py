"""Taking the arguments of a run from a script's command line."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepobs.errors import DeepOBSError
from deepobs.runs.hyperparameters import REQUIRED, Hyperparameter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OPTIONS: dict[str, tuple[Any, str]] = {
    "batch_size": (int, "Examples a step."),
    "num_epochs": (int, "Passes over the training set."),
    "random_seed": (int, "Seed of everything random."),
    "weight_decay": (float, "Factor of the problem's regulariser."),
    "data_dir": (str, "Where data sets are kept."),
    "output_dir": (str, "Where to keep the result file."),
    "device": (str, "Where to run, such as cpu or cuda:0."),
    "validation_size": (int, "Training examples held out for validation."),
    "train_log_interval": (int, "Steps from one recorded minibatch loss to the next."),
}


class NumberList(click.ParamType[list[Any]]):
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


_SCHEDULE: dict[str, tuple[Any, str]] = {
    "lr_sched_epochs": (NumberList(int), "Epochs after which the rate changes: 5,8"),
    "lr_sched_factors": (NumberList(float), "Its factors from then on: 0.1,0.01"),
}


def arguments_from_command_line(
    hyperparameters: Mapping[str, Hyperparameter],
    given: Mapping[str, Any],
    *,
    has_schedule: bool,
) -> dict[str, Any]:
    """Read from `sys.argv` what a call left out.

    A mistake there, or `--help`, ends the program as users of a command expect.

    Args:
        hyperparameters: What the optimizer takes, by name.
        given: What the call gave; no options are offered for it.
        has_schedule: Whether to offer a learning-rate schedule.

    Returns:
        The arguments that were found, by name.
    """
    parameters: list[click.Parameter] = [click.Argument(["testproblem"])]
    offered = _OPTIONS | (_SCHEDULE if has_schedule else {})
    parameters += [
        _option(name, kind, text)
        for name, (kind, text) in offered.items()
        if name not in given and name not in hyperparameters
    ]
    for name, one in hyperparameters.items():
        if name not in given:
            is_required = one.default is REQUIRED
            text = "Hyperparameter of the optimizer."
            text += "" if is_required else f" [default: {one.default}]"
            parameters.append(_option(name, one.type, text, required=is_required))
    command = click.Command(
        None,
        params=parameters,
        help="Train on TESTPROBLEM and write a result file.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    with exit_on_mistake():
        context = command.make_context(Path(sys.argv[0]).name, sys.argv[1:])
    return {name: value for name, value in context.params.items() if value is not None}


@contextlib.contextmanager
def exit_on_mistake() -> Iterator[None]:
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


def _option(name: str, kind: Any, text: str, *, required: bool = False) -> click.Option:
    spellings = [f"--{name}"] + ([f"--{name.replace('_', '-')}"] if "_" in name else [])
    return click.Option([*spellings, name], type=kind, help=text, required=required)
