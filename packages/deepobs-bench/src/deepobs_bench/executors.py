"""Executors, which execute the runs of a sweep: those that plugins offer, by name."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs.errors import ArgumentError, ProtocolError
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs.plugins.own_classes import is_importable
from deepobs.plugins.specs import is_target

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

DEFAULT_PACK = 36
"""Runs of a pack by default: the learning rates of the paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorOptions:
    """How to execute runs; every executor uses the options that apply to it.

    Attributes:
        jobs: How many runs at a time.
        threads: Threads of torch for each of them; `None` for those of its test problem.
        devices: The devices on which to distribute them; none for the default device.
        time_limit: Seconds after which a run that has not stopped is killed.
        scheduler: The address of a cluster's scheduler.
        shared_results: Whether workers of a cluster write the results into a directory that they
            share with this machine; otherwise this process writes them.
        processes_per_run: Processes among which the batches of each run are divided.
        pack: How many runs are trained as one batched model; `None` to train each on its own.
        silence_limit: Seconds without the end of a run after which a sweep fails; `None` to wait.
    """

    jobs: int = 1
    threads: int | None = None
    devices: tuple[str, ...] = ()
    time_limit: float | None = None
    scheduler: str | None = None
    shared_results: bool = False
    processes_per_run: int = 1
    pack: int | None = None
    silence_limit: float | None = None


def open_executor(name: str, options: ExecutorOptions) -> Executor:
    """Create an executor; one of another package is rebuilt when it breaks.

    Args:
        name: A name that `deepobs list executors` shows, or `module:function` of a function that is
            called with the options and returns a `concurrent.futures.Executor`.
        options: How to execute runs.

    Raises:
        DeepOBSError: The executor does not exist, cannot be made, or does not support the options.
    """
    catalog = registry().executors
    if catalog.find(name) is None and is_target(name) and is_importable(name):
        owner = f"The executor {name!r}"
        make = import_target(name, owner)
    else:
        offer = catalog.offer(name)
        owner, make = str(offer), catalog.load(offer)
    if not callable(make):
        raise ProtocolError(f"{owner} is {make!r}. It must be a function or a class.")
    from deepobs_bench.pools import RebuildablePool, require_executor
    from deepobs_bench.processes import KillableExecutor

    pool = RebuildablePool(
        lambda: require_executor(make(options), owner),
        options.jobs,
        shares_directory=options.shared_results,
    )
    # Those of ours replace what they lose.
    is_ours = isinstance(pool.current, (KillableExecutor, SerialExecutor))
    return pool.current if is_ours else pool


def processes(options: ExecutorOptions) -> Executor:
    """Create the executor for processes of this machine."""
    _require_no_scheduler(options)
    _require_no_packs(options)
    from deepobs_bench.processes import WorkerProcesses, limit_of

    return WorkerProcesses(
        options.jobs,
        threads=options.threads,
        devices=options.devices,
        limit=limit_of(options.time_limit),
    )


def packed(options: ExecutorOptions) -> Executor:
    """Create the executor for processes of this machine that train packs of runs."""
    _require_no_scheduler(options)
    from deepobs_bench.packs import PackedProcesses

    return PackedProcesses(
        options.jobs,
        size=options.pack or DEFAULT_PACK,
        threads=options.threads,
        devices=options.devices,
        seconds=options.time_limit,
    )


def _require_no_scheduler(options: ExecutorOptions) -> None:
    if options.scheduler is not None:
        raise ArgumentError(
            f"Processes of this machine have no scheduler, got {options.scheduler!r}. Choose the "
            "executor that uses it (--executor dask), or omit it."
        )


def _require_no_packs(options: ExecutorOptions) -> None:
    if options.pack is not None:
        raise ArgumentError(
            f"This executor trains every run on its own, got packs of {options.pack}. Choose the "
            "one that packs them (--executor packed), or omit --pack."
        )


def dask(options: ExecutorOptions) -> Executor:
    """Create the executor for the workers of a Dask cluster."""
    _require_no_packs(options)
    if options.devices:
        raise ArgumentError(
            "Runs on a cluster cannot be distributed on devices of this machine, got "
            f"{', '.join(options.devices)}. Omit them: every worker uses its own default."
        )
    from deepobs_bench._dask import DaskExecutor

    return DaskExecutor(
        options.scheduler,
        threads=options.threads,
        time_limit=options.time_limit,
        shares_directory=options.shared_results,
    )


class SerialExecutor(Executor):
    """Executes one call after the other in this process, when it is submitted.

    Args:
        options: Ignored.
    """

    capacity = 1
    shares_directory = True

    def __init__(self, options: ExecutorOptions | None = None) -> None:
        del options

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Execute a call; an interruption from the keyboard ends it."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
