"""Checkpoints on the command line: how often they are written, and going on from them."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from deepobs.cli.screen import show_message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deepobs.runs import RunSpecification
    from deepobs.runs.checkpoints import CheckpointPlan

_SECONDS_OF = {"s": 1, "min": 60, "h": 3600}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


@dataclass(frozen=True)
class Rhythm:
    """How often something is done; one of the two is `None`.

    Attributes:
        every_seconds: Every so many seconds.
        every_epochs: Every so many epochs.
    """

    every_seconds: float | None = None
    every_epochs: int | None = None


def parsed_rhythm(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> Rhythm | None:
    """Read `10min`, `30s`, `1.5h`, `1epoch` or `5epochs`.

    Args:
        context: The command.
        parameter: The option.
        text: What was typed, `None` for nothing.

    Raises:
        BadParameter: It is none of these.
    """
    if text is None:
        return None
    written = _WRITTEN.fullmatch(text.strip().lower())
    number, unit = written.groups() if written else ("0", "")
    if unit in _SECONDS_OF and float(number) > 0:
        return Rhythm(every_seconds=float(number) * _SECONDS_OF[unit])
    if unit in ("epoch", "epochs") and number.isdigit() and int(number) > 0:
        return Rhythm(every_epochs=int(number))
    message = (
        f"{text!r} is neither a time such as 30s, 10min or 1.5h, nor a number such as 5epochs."
    )
    raise click.BadParameter(message, context, parameter)


def checkpoint_plan(rhythm: Rhythm | None, *, resume: bool) -> CheckpointPlan | None:
    """What the options ask for, `None` for nothing.

    Args:
        rhythm: How often checkpoints are written.
        resume: Whether to go on from one.
    """
    from deepobs.runs.checkpoints import CheckpointPlan

    if rhythm is None and not resume:
        return None
    rhythm = rhythm or Rhythm()
    return CheckpointPlan(rhythm.every_seconds, rhythm.every_epochs, resume)


@contextlib.contextmanager
def interruption_explained(output_dir: Path, specification: RunSpecification) -> Iterator[None]:
    """Say how to go on with a run that is interrupted from the keyboard.

    Args:
        output_dir: Where results are kept.
        specification: The run.
    """
    from deepobs.runs.checkpoint_file import checkpoint_path

    try:
        yield
    except KeyboardInterrupt:
        if checkpoint_path(output_dir, specification).exists():
            show_message("Checkpoint", "the same command with --resume goes on with this run.")
        raise
