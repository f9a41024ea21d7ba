"""The options of `bench` and `tune` that say how runs are executed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from deepobs.console.commands import completing_offers, taking
from deepobs_bench.executors import ExecutorOptions, open_executor

if TYPE_CHECKING:
    from concurrent.futures import Executor

_PARAMETERS = (
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Number of concurrent runs.",
    ),
    click.option(
        "--executor",
        default="processes",
        show_default=True,
        shell_complete=completing_offers("executors"),
        help="Executor backend; `deepobs list executors` shows all.",
    ),
    click.option("--scheduler", metavar="ADDRESS", help="Address of the scheduler of a cluster."),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="CPU threads of each run [default: the cores divided by the jobs].",
    ),
    click.option(
        "--devices",
        metavar="NAME,NAME,...",
        help="Distribute the jobs over these devices, such as cuda:0,cuda:1: with --jobs 4, two "
        "each.",
    ),
    click.option(
        "--shared-results",
        is_flag=True,
        help="Let workers of a cluster write results to a directory that they share with this "
        "machine [default: results are sent back and written here].",
    ),
)


@dataclass(frozen=True, slots=True)
class Execution:
    """How runs are executed, from the options of `takes_execution`."""

    executor: str
    options: ExecutorOptions

    def open(self, *, time_limit: float | None = None) -> Executor:
        """Create the executor, with a time limit for each run in seconds."""
        return open_executor(self.executor, replace(self.options, time_limit=time_limit))


def _execution(
    executor: str,
    jobs: int,
    threads: int | None,
    devices: str | None,
    scheduler: str | None,
    shared_results: bool,
) -> Execution:
    options = ExecutorOptions(
        jobs=jobs,
        threads=threads,
        devices=tuple(devices.split(",")) if devices else (),
        scheduler=scheduler,
        shared_results=shared_results,
    )
    return Execution(executor, options)


takes_execution = taking("execution", _PARAMETERS, _execution)
"""Decorates a command that executes runs: its argument `execution` is an `Execution`."""


def tell(message: str) -> None:
    """Write a message about the execution to standard error."""
    click.echo(message, err=True)
