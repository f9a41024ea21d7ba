"""The options of `bench` and `tune` that say how runs are executed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from deepobs.console.commands import completing
from deepobs.console.offers import KINDS
from deepobs_bench.executors import ExecutorOptions, open_executor

if TYPE_CHECKING:
    from concurrent.futures import Executor

EXECUTION_PARAMETERS: tuple[click.Parameter, ...] = (
    click.Option(
        ["--jobs"],
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Number of concurrent runs.",
    ),
    click.Option(
        ["--executor"],
        default="processes",
        show_default=True,
        shell_complete=completing(KINDS["executors"].summaries),
        help="Executor backend; `deepobs list executors` shows all.",
    ),
    click.Option(["--scheduler"], metavar="ADDRESS", help="Address of the scheduler of a cluster."),
    click.Option(
        ["--threads"],
        type=click.IntRange(min=1),
        help="CPU threads of each run [default: the cores divided by the jobs].",
    ),
    click.Option(
        ["--devices"],
        metavar="NAME,NAME,...",
        help="Distribute the jobs over these devices, such as cuda:0,cuda:1: with --jobs 4, two "
        "each.",
    ),
    click.Option(
        ["--shared-results"],
        is_flag=True,
        help="Let workers of a cluster write results to a directory that they share with this "
        "machine [default: results are sent back and written here].",
    ),
)


@dataclass(frozen=True, slots=True)
class Execution:
    """How runs are executed, from the values of `EXECUTION_PARAMETERS`."""

    executor: str
    options: ExecutorOptions

    @classmethod
    def taken_from(cls, values: dict[str, Any]) -> Execution:
        """Take the values of `EXECUTION_PARAMETERS` out of those of a command."""
        devices = values.pop("devices")
        names = ("jobs", "threads", "scheduler", "shared_results")
        options = ExecutorOptions(
            **{name: values.pop(name) for name in names},
            devices=tuple(devices.split(",")) if devices else (),
        )
        return cls(values.pop("executor"), options)

    def open(self, *, time_limit: float | None = None) -> Executor:
        """Create the executor, with a time limit for each run in seconds."""
        return open_executor(self.executor, replace(self.options, time_limit=time_limit))


def tell(message: str) -> None:
    """Write a message about the execution to standard error."""
    click.echo(message, err=True)
