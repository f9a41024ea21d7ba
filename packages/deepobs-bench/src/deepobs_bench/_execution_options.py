"""The options of `bench` and `tune` that say how runs are executed."""

from __future__ import annotations

from typing import Any

import click

from deepobs.console.offers import KINDS
from deepobs.console.options import completing
from deepobs_bench.executors import ExecutorOptions

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


def execution_from(values: dict[str, Any]) -> tuple[str, ExecutorOptions]:
    """Take the values of `EXECUTION_PARAMETERS` out of those of a command.

    Returns:
        The executor backend and its options.
    """
    devices = values.pop("devices")
    names = ("jobs", "threads", "scheduler", "shared_results")
    options = ExecutorOptions(
        **{name: values.pop(name) for name in names},
        devices=tuple(devices.split(",")) if devices else (),
    )
    return values.pop("executor"), options


def tell(message: str) -> None:
    """Write a message about the execution to standard error."""
    click.echo(message, err=True)
