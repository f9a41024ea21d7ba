"""The options of `bench` and `tune` that say how runs are executed."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from deepobs import config
from deepobs.console import screen
from deepobs.console.offers import KINDS
from deepobs.console.options import completing, seconds
from deepobs_bench.executors import DEFAULT_PACK, ExecutorOptions, open_executor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from deepobs.runs.checkpoints import CheckpointPlan

_OF_PROCESSES = ("processes", "packed")

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
        help="Executor backend; `deepobs list executors` shows all. module:function is one of "
        "your own.",
    ),
    click.Option(
        ["--pack"],
        type=click.IntRange(min=2),
        help="With --executor packed: how many runs that differ in hyperparameters alone are "
        f"trained together [default: {DEFAULT_PACK}]; `deepobs estimate --pack` says whether it "
        "pays.",
    ),
    click.Option(["--scheduler"], metavar="ADDRESS", help="Address of the scheduler of a cluster."),
    click.Option(
        ["--devices"],
        metavar="NAME,NAME,...",
        help="Distribute the jobs over these devices, such as cuda:0,cuda:1: with --jobs 4, two "
        "each.",
    ),
    click.Option(
        ["--processes-per-run"],
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Divide the batches of each run among so many processes, each on a GPU if there are "
        "any, like torchrun.",
    ),
    click.Option(
        ["--shared-results"],
        is_flag=True,
        help="Let workers of a cluster write results to a directory that they share with this "
        "machine [default: results are sent back and written here].",
    ),
    click.Option(
        ["--silence-limit"],
        type=seconds,
        metavar="DURATION",
        help="Give up if no run ends for so long, such as 2h, since workers may be lost; more than "
        "the longest run and its wait in a queue take [default: wait].",
    ),
)


def execution_from(values: dict[str, Any]) -> tuple[str, ExecutorOptions]:
    """Take the values of `EXECUTION_PARAMETERS` out of those of a command.

    Returns:
        The executor backend and its options.
    """
    devices = values.pop("devices")
    names = ("jobs", "scheduler", "shared_results", "processes_per_run", "pack", "silence_limit")
    if values["executor"] == "packed" and values["pack"] is None:
        values["pack"] = DEFAULT_PACK
    options = ExecutorOptions(
        **{name: values.pop(name) for name in names},
        devices=tuple(devices.split(",")) if devices else (),
    )
    return values.pop("executor"), options


def prepared_workers(
    executor: str, options: ExecutorOptions, threads: int | None
) -> contextlib.AbstractContextManager[None]:
    """Let worker processes get ready while a command still plans what they do.

    Args:
        executor: The executor that the command will open.
        options: Its options.
        threads: Threads of torch in each run.
    """
    if executor not in _OF_PROCESSES:
        return contextlib.nullcontext()
    from deepobs_bench._starts import forked_template

    return forked_template(options.jobs, threads)


@contextlib.contextmanager
def interruptible_executor(
    name: str, options: ExecutorOptions, checkpoints: CheckpointPlan | None
) -> Iterator[Executor]:
    """Open an executor; after Ctrl-C, say what becomes of the runs and their results."""
    options = replace(options, threads=config.get_num_threads())
    try:
        with open_executor(name, options) as workers:
            try:
                yield workers
            except KeyboardInterrupt:
                if checkpoints is not None:
                    screen.start_line()
                    screen.show_progress("Ending the runs, which write a last checkpoint ...")
                raise
    except KeyboardInterrupt:
        # Without it, the runs that were interrupted would start over, and replace the checkpoints.
        needs_resume = checkpoints is not None and not checkpoints.resume
        repeat = f"repeat the command{' with --resume' if needs_resume else ''}"
        raise KeyboardInterrupt(f"Results so far are kept: {repeat} to continue.") from None


def tell(message: str) -> None:
    """Write a message about the execution to standard error."""
    click.echo(message, err=True)
