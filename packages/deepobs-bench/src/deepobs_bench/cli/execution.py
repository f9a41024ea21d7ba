"""How the runs of a command are carried out: the options that say so, and what they stand for."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from deepobs.cli import options
from deepobs.cli.checkpoints import Rhythm, checkpoint_plan
from deepobs_bench.executors import ExecutorOptions, open_executor

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from deepobs.runs import RunObserver
    from deepobs.runs.checkpoints import CheckpointPlan

_OPTIONS = (
    options.jobs,
    options.executor,
    options.scheduler,
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="Threads of the CPU for each run [default: the cores are shared out].",
    ),
    click.option(
        "--devices",
        metavar="NAME,NAME,...",
        help="Deal the jobs out to these devices, such as cuda:0,cuda:1: with --jobs 4, two each.",
    ),
    click.option(
        "--shared-results",
        is_flag=True,
        help="Workers on a cluster write the results, to a directory that they share with this "
        "machine. Else results come back and are written here.",
    ),
    options.checkpoint_every,
    options.resume,
    options.tensorboard,
)


@dataclass(frozen=True, slots=True)
class Execution:
    """What the options say.

    Attributes:
        executor: Name of the executor.
        options: What it is told.
        checkpoints: When runs keep what they need to go on.
        observers: Who is told what happens in the runs.
    """

    executor: str
    options: ExecutorOptions
    checkpoints: CheckpointPlan | None
    observers: tuple[RunObserver, ...]

    def open(self, *, time_limit: float | None = None) -> Executor:
        """Make the executor.

        Args:
            time_limit: Seconds that a run may take.
        """
        return open_executor(self.executor, replace(self.options, time_limit=time_limit))


def takes_execution(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options, and the function an argument `execution` for all of them."""

    @functools.wraps(function)
    def command(
        *arguments: Any,
        executor: str,
        devices: str | None,
        checkpoint_every: Rhythm | None,
        resume: bool,
        observers: tuple[RunObserver, ...],
        jobs: int,
        scheduler: str | None,
        threads: int | None,
        shared_results: bool,
        **others: Any,
    ) -> Any:
        execution = Execution(
            executor,
            ExecutorOptions(
                jobs=jobs,
                threads=threads,
                devices=tuple(devices.split(",")) if devices else (),
                scheduler=scheduler,
                shared_results=shared_results,
            ),
            checkpoint_plan(checkpoint_every, resume=resume),
            observers,
        )
        return function(*arguments, execution=execution, **others)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def tell(sentence: str) -> None:
    """Say something about how the runs are carried out, beside the results."""
    click.echo(sentence, err=True)
