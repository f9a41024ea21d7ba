"""Runs on the workers of a Dask cluster.

Every worker keeps a process in which it executes the runs. A run that crashes, hangs or takes all
memory ends that process, not the worker, which reports how the run ended; and the worker can answer
its scheduler whatever a run does.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import platform
import threading
import uuid
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs import __version__
from deepobs.errors import ArgumentError, MissingPackageError, OutputError
from deepobs.plugins import registry
from deepobs_bench._starts import Starter
from deepobs_bench.failures import ExecutorError, RunStoppedError
from deepobs_bench.processes import KillableExecutor, WorkerSlot, limit_of

try:
    import distributed
    from distributed.scheduler import KilledWorker
except ImportError as error:
    raise MissingPackageError(
        "Runs on a Dask cluster need Dask.distributed: pip install 'deepobs-bench[dask]'."
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from deepobs_bench.processes import Limit

T = TypeVar("T")

_CONNECTION_SECONDS = 10.0


class DaskExecutor(KillableExecutor):
    """Executes calls on the workers of a cluster, one at a time on each.

    Dask gives the calls of a worker that is lost to others.

    Raises:
        ExecutorError: The scheduler does not answer, or a worker has other versions.
        ArgumentError: The address is absent.
    """

    def __init__(
        self,
        scheduler: str | None,
        *,
        threads: int | None = None,
        time_limit: float | None = None,
        shares_directory: bool = False,
    ) -> None:
        if not scheduler:
            raise ArgumentError(
                "A Dask cluster needs the address of its scheduler, such as "
                "--scheduler tcp://127.0.0.1:8786, which `dask scheduler` prints when it starts."
            )
        self.shares_directory = shares_directory
        self._sweep = uuid.uuid4().hex
        self._client = _connected(scheduler)
        self._running: set[Future[Any]] = set()
        self._call = functools.partial(
            _call_in_process,
            sweep=self._sweep,
            planned_with=_installed_versions(),
            threads=threads,
            limit=limit_of(time_limit),
        )
        try:
            self._compare_versions()
        except BaseException:
            self._client.close()
            raise

    @property
    def capacity(self) -> int:
        """The present number of workers."""
        # 0 lets the sweep say that runs wait for the first worker.
        if self._client.status != "running":
            return 0
        try:
            return len(self._client.nthreads())
        except OSError:  # which the pending futures raise, too
            return 0

    def require_shared(self, directory: Path) -> None:
        """Check that all workers see a directory of this machine.

        Raises:
            OutputError: One of them does not.
        """
        # Not `exists`: the directory may exist there and be another one.
        path, text = directory / f".{self._sweep}.token", self._sweep
        try:
            path.write_text(text)
            seen = self._on_all(_holds, path, text)
        finally:
            path.unlink(missing_ok=True)
        blind = [worker for worker, sees in seen.items() if sees is not True]
        if blind:
            raise OutputError(
                f"The worker {blind[0]} does not see the directory {directory} of this machine. "
                "Choose a shared directory, or let results come back (no --shared-results)."
            )

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Submit a call to a worker.

        Raises:
            ExecutorError: The connection to the scheduler was lost.
        """
        if self._client.status != "running":
            raise _connection_lost()
        call = functools.partial(fn, *args, **kwargs)
        # Not pure: Dask would execute equal calls only once, and keep their results.
        there = self._client.submit(self._call, call, pure=False)
        here: Future[T] = Future()
        self._running.add(here)
        here.add_done_callback(functools.partial(self._forget, there))
        there.add_done_callback(functools.partial(_pass_on, here))
        return here

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, and leave the cluster once all are done."""
        if cancel_futures:
            for future in list(self._running):
                future.cancel()
        if wait:
            concurrent.futures.wait(list(self._running))
            self._client.close()
        else:
            threading.Thread(target=self.shutdown).start()

    def kill_workers(self) -> None:
        """Accept no more calls, and end at once what workers do for this client."""
        for future in list(self._running):
            future.cancel()
        with contextlib.suppress(OSError, RuntimeError):  # if the connection was lost
            if self._client.status == "running":
                self._on_all(_end_calls, self._sweep)
        self._client.close()

    def _forget(self, there: distributed.Future[Any], here: Future[Any]) -> None:
        self._running.discard(here)
        if here.cancelled():
            there.cancel()

    def _compare_versions(self) -> None:
        """Refuse workers that differ; those that join later refuse their first call."""
        versions = self._call.keywords["planned_with"]
        for worker, answer in self._on_all(_compare_versions, versions).items():
            if isinstance(answer, ExecutorError):
                raise answer
            if isinstance(answer, BaseException):
                raise ExecutorError(
                    f"The worker {worker} cannot execute runs: {answer}. Install deepobs-core "
                    f"{versions['deepobs-core']} and the client's plugins there."
                ) from answer

    def _on_all(self, function: Callable[..., object], *arguments: object) -> dict[str, object]:
        """Call a function on every worker, and return its values or errors by worker."""
        answers: dict[str, object] = self._client.run(function, *arguments, on_error="return")
        return answers


def _connected(scheduler: str) -> distributed.Client:
    try:
        return distributed.Client(
            scheduler, timeout=_CONNECTION_SECONDS, set_as_default=False, name="deepobs"
        )
    except (OSError, ValueError) as error:  # ValueError: a malformed address
        raise ExecutorError(
            f"No scheduler of Dask answers at {scheduler!r}: {error}. Start one by `dask "
            "scheduler` and workers by `dask worker ADDRESS`, and give the address that it prints."
        ) from error


def _pass_on(here: Future[Any], there: distributed.Future[Any]) -> None:
    """Pass on the result of a call, in a thread of Dask's."""
    if not here.set_running_or_notify_cancel():
        return
    if there.status == "cancelled":
        here.set_exception(_connection_lost())
        return
    try:
        here.set_result(there.result())
    except KilledWorker as error:
        here.set_exception(_crash(error))
    except BaseException as error:  # a call may raise anything
        here.set_exception(error)


def _crash(error: KilledWorker) -> RunStoppedError:
    worker = error.last_worker.address
    return RunStoppedError(
        "crash",
        f"{error.allowed_failures + 1} workers of the cluster ended, one after the other, while "
        f"they executed the run; the log of the last one, {worker}, may say why.",
        worker=worker,
    )


def _connection_lost() -> ExecutorError:
    return ExecutorError(
        "The connection to the Dask scheduler was lost. All results so far are kept; start the "
        "sweep again, with a running scheduler, to continue."
    )


class _Workplace:
    """The process of this worker, and the sweep for which it works.

    Attributes:
        one_call_at_a_time: Held by the thread that uses the process: a worker may have several.
    """

    def __init__(self) -> None:
        self.one_call_at_a_time = threading.Lock()
        self._threads: int | None = None
        self._starter: Starter
        self._slot: WorkerSlot | None = None
        self._sweep = ""

    def slot(self, sweep: str, threads: int | None, most_threads: int) -> WorkerSlot:
        """The place for the process, a new one for another number of threads."""
        self._sweep = sweep
        if self._slot is None or self._threads != threads:
            if self._slot is not None:
                self._slot.dismiss()
                self._slot.end()
                self._starter.end()
            self._starter = Starter(threads, most_threads=most_threads)
            self._slot = WorkerSlot(self._starter, device=None)
            self._threads = threads
        return self._slot

    def kill(self, sweep: str) -> None:
        """End what is done for a sweep."""
        # Without the lock, which the call that is to end holds.
        slot = self._slot
        if slot is not None and self._sweep == sweep:
            self._slot = None
            self._starter.dismiss()
            slot.dismiss()


_workplace = _Workplace()


def _call_in_process(
    call: Callable[[], T],
    *,
    sweep: str,
    planned_with: Mapping[str, str],
    threads: int | None,
    limit: Limit | None,
) -> T:
    """On a worker: execute a call in its process."""
    # Again, since a worker may join after the client compared versions.
    worker = distributed.get_worker()
    _require_same_versions(planned_with, worker.address)
    with _workplace.one_call_at_a_time:
        slot = _workplace.slot(sweep, threads, worker.state.nthreads)
        return slot.execute(call, limit)


def _compare_versions(
    planned_with: Mapping[str, str], dask_worker: distributed.Worker | None = None
) -> None:
    """On a worker, which Dask passes: refuse runs that were planned with other versions."""
    _require_same_versions(planned_with, dask_worker.address if dask_worker else "")


def _end_calls(sweep: str) -> None:
    """On a worker: end what it does for a sweep, in the middle of it."""
    _workplace.kill(sweep)


def _holds(path: Path, text: str) -> bool:
    """On a worker: whether a file can be read, and holds a text."""
    try:
        return path.read_text() == text
    except OSError:
        return False


def _installed_versions() -> dict[str, str]:
    """Versions of all that determines runs, without patches of Python and devices of torch."""
    import torch

    catalogs = (registry().problems, registry().datasets, registry().optimizers)
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__.partition("+")[0],
        **{
            offer.distribution: offer.version
            for each in catalogs
            for offer in each.offers()
            if offer.distribution
        },
        "deepobs-core": __version__,
    }


def _require_same_versions(planned_with: Mapping[str, str], worker: str) -> None:
    here = _installed_versions()
    for name in sorted(planned_with.keys() | here.keys()):
        if planned_with.get(name) != here.get(name):
            ours, theirs = (
                f"{name} {versions[name]}" if name in versions else f"no {name}"
                for versions in (here, planned_with)
            )
            raise ExecutorError(
                f"The worker {worker} has {ours}, the client has {theirs}. Install the same on "
                "both sides."
            )
