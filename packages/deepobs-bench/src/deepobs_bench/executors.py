"""Who carries out the runs of a sweep: the executors that plugins offer, by name."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs.errors import ArgumentError, ProtocolError
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorOptions:
    """What a user says about how to carry out runs; every executor takes what it understands.

    Attributes:
        jobs: How many runs at a time.
        threads: Threads of torch for each of them; `None` to share out the cores.
        devices: The devices to deal out to them; none for the default device.
        time_limit: Seconds after which a run that did not stop by itself is killed.
        scheduler: The address of a cluster's scheduler.
        shared_results: Whether workers of a cluster write the results, into a directory that they
            share with this machine; else results come back and are written here.
    """

    jobs: int = 1
    threads: int | None = None
    devices: tuple[str, ...] = ()
    time_limit: float | None = None
    scheduler: str | None = None
    shared_results: bool = False


def open_executor(name: str, options: ExecutorOptions) -> Executor:
    """Make an executor.

    Args:
        name: A name that `deepobs list executors` shows.
        options: How to carry out runs.

    Raises:
        DeepOBSError: There is no such executor, or it cannot do what is asked for.
    """
    make, described = registry().executors.load(name), registry().executors.described(name)
    if not callable(make):
        raise ProtocolError(f"{described} is {make!r}. It must be a function or a class.")
    executor: object = make(options)
    if not isinstance(executor, Executor):
        raise ProtocolError(f"{described} makes {executor!r}, not a concurrent.futures.Executor.")
    return executor


def processes(options: ExecutorOptions) -> Executor:
    """Processes of this machine.

    Raises:
        ArgumentError: A cluster is asked for, or a number or a device is not permitted.
    """
    if options.scheduler is not None:
        raise ArgumentError(
            f"Processes of this machine have no scheduler, got {options.scheduler!r}. Name the "
            "executor that goes with it (--executor dask), or leave it out."
        )
    from deepobs_bench.processes import WorkerProcesses
    from deepobs_bench.slots import limit_of

    return WorkerProcesses(
        options.jobs,
        threads=options.threads,
        devices=options.devices,
        limit=limit_of(options.time_limit),
    )


def dask(options: ExecutorOptions) -> Executor:
    """The workers of a Dask cluster.

    Raises:
        ExecutorError: The scheduler does not answer, or a worker has other versions.
        ArgumentError: There is no address, or devices are to be dealt out.
    """
    if options.devices:
        raise ArgumentError(
            "Devices of this machine cannot be dealt out to the workers of a cluster, got "
            f"{', '.join(options.devices)}. Leave them out: every worker runs on its own default."
        )
    from deepobs_bench.dask import DaskExecutor

    return DaskExecutor(
        options.scheduler,
        threads=options.threads,
        time_limit=options.time_limit,
        shares_directory=options.shared_results,
    )


class SerialExecutor(Executor):
    """Carries out one call after the other, in this process, when it is handed in.

    Args:
        options: None of them matters here.
    """

    capacity = 1
    shares_directory = True

    def __init__(self, options: ExecutorOptions | None = None) -> None:
        del options

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Carry out a call; an interruption from the keyboard ends it."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
