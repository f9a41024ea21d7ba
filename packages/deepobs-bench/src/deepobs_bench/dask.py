"""Runs on the workers of a Dask cluster, on whatever machines they are."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import threading
import uuid
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs.errors import ArgumentError, ExecutorError, MissingPackageError, OutputError
from deepobs_bench.outcomes import RunCrashedError
from deepobs_bench.slots import limit_of
from deepobs_bench.versions import installed_versions

try:
    import distributed
    from distributed.scheduler import KilledWorker

    from deepobs_bench import dask_worker
except ImportError as error:
    raise MissingPackageError(
        "Runs on a Dask cluster need Dask.distributed: pip install 'deepobs-bench[dask]'."
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")

_CONNECTION_SECONDS = 10.0


class DaskExecutor(Executor):
    """Carries out calls on the workers of a cluster, one at a time on each.

    Dask gives the calls of a worker that is lost to others.

    Args:
        scheduler: The address of the cluster's scheduler, such as "tcp://node17:8786".
        threads: Threads of torch for a call; `None` for as many as its worker has.
        time_limit: Seconds for a call to end by itself; some more, and it is killed.
        shares_directory: Whether the workers can write the results.

    Raises:
        ExecutorError: The scheduler does not answer, or a worker has other versions.
        ArgumentError: There is no address.
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
                "A Dask cluster is found by the address of its scheduler: give one, such as "
                "--scheduler tcp://127.0.0.1:8786, which `dask scheduler` prints when it starts."
            )
        self.shares_directory = shares_directory
        self._sweep = uuid.uuid4().hex
        self._client = _connected(scheduler)
        self._running: set[Future[Any]] = set()
        self._call = functools.partial(
            dask_worker.call_in_process,
            sweep=self._sweep,
            planned_with=installed_versions(),
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
        """How many workers there are now."""
        if self._client.status != "running":
            return 0
        try:
            return len(self._client.nthreads())
        except OSError:  # which the runs that are waited for will tell, too
            return 0

    def require_shared(self, directory: Path) -> None:
        """Make sure that all workers see a directory of this machine.

        Raises:
            OutputError: One of them does not.
        """
        path, text = directory / f".{self._sweep}.token", self._sweep
        try:
            path.write_text(text)
            seen = self._on_all(dask_worker.holds, path, text)
        finally:
            path.unlink(missing_ok=True)
        blind = [worker for worker, sees in seen.items() if sees is not True]
        if blind:
            raise OutputError(
                f"The worker {blind[0]} does not see the directory {directory} of this machine. "
                "Choose one that they share, or let results come back."
            )

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a call carried out by a worker.

        Raises:
            ExecutorError: There is no connection to the scheduler any more.
        """
        if self._client.status != "running":
            raise _connection_lost()
        call = functools.partial(fn, *args, **kwargs)
        there = self._client.submit(self._call, call, pure=False)
        here: Future[T] = Future()
        self._running.add(here)
        here.add_done_callback(functools.partial(self._forget, there))
        there.add_done_callback(functools.partial(_pass_on, here))
        return here

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and leave the cluster once all are done."""
        if cancel_futures:
            for future in list(self._running):
                future.cancel()
        if wait:
            concurrent.futures.wait(list(self._running))
            self._client.close()
        else:
            threading.Thread(target=self.shutdown).start()

    def kill_workers(self) -> None:
        """Take no more calls, and end at once what workers do for this client."""
        for future in list(self._running):
            future.cancel()
        with contextlib.suppress(OSError, RuntimeError):  # where there is no connection any more
            if self._client.status == "running":
                self._on_all(dask_worker.end_calls, self._sweep)
        self._client.close()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an interruption from the keyboard nobody wants to wait until hours of work are done.
        if error_type is None:
            self.shutdown()
        else:
            self.kill_workers()

    def _forget(self, there: distributed.Future[Any], here: Future[Any]) -> None:
        self._running.discard(here)
        if here.cancelled():
            there.cancel()

    def _compare_versions(self) -> None:
        """Refuse workers that differ; those that join later refuse their first call."""
        versions = self._call.keywords["planned_with"]
        for worker, answer in self._on_all(dask_worker.compare_versions, versions).items():
            if isinstance(answer, ExecutorError):
                raise answer
            if isinstance(answer, BaseException):
                raise ExecutorError(
                    f"The worker {worker} cannot carry out runs: {answer}. Install deepobs-core "
                    f"{versions['deepobs-core']} and the client's plugins there."
                ) from answer

    def _on_all(self, function: Callable[..., object], *arguments: object) -> dict[str, object]:
        """Call a function on every worker; what it returned or raised, by worker."""
        answers: dict[str, object] = self._client.run(function, *arguments, on_error="return")
        return answers


def _connected(scheduler: str) -> distributed.Client:
    try:
        return distributed.Client(
            scheduler, timeout=_CONNECTION_SECONDS, set_as_default=False, name="deepobs"
        )
    except (OSError, ValueError) as error:  # an address may not be one
        raise ExecutorError(
            f"No scheduler of Dask answers at {scheduler!r}: {error}. Start one by `dask "
            "scheduler` and workers by `dask worker ADDRESS`, and give the address that it prints."
        ) from error


def _pass_on(here: Future[Any], there: distributed.Future[Any]) -> None:
    """Pass on what became of a call, in a thread of Dask's."""
    if not here.set_running_or_notify_cancel():
        return
    if there.status == "cancelled":
        here.set_exception(_connection_lost())
        return
    try:
        here.set_result(there.result())
    except KilledWorker as error:
        here.set_exception(_crash(error))
    except BaseException as error:  # whatever it is, it belongs to the caller
        here.set_exception(error)


def _crash(error: KilledWorker) -> RunCrashedError:
    worker = error.last_worker.address
    return RunCrashedError(
        "crash",
        f"{error.allowed_failures + 1} workers of the cluster ended, one after the other, while "
        f"they carried out the run; the log of the last one, {worker}, may say why.",
        worker=worker,
    )


def _connection_lost() -> ExecutorError:
    return ExecutorError(
        "The connection to the Dask scheduler was lost. All results so far are kept; start the "
        "sweep again, with a scheduler that runs, to go on."
    )
