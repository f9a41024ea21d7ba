"""Executors of other packages: rebuilt when they break, and made of functions that wait."""

from __future__ import annotations

import contextlib
import functools
import threading
from concurrent.futures import Executor, Future
from concurrent.futures import wait as wait_for
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs import checks
from deepobs.errors import ArgumentError, DeepOBSError, message_of
from deepobs_bench.failures import ExecutorError
from deepobs_bench.processes import KillableExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_INSTEAD = {  # package -> what to give in place of its objects that are no executors
    "dask": "client.get_executor(), or on the command line --executor dask",
    "distributed": "client.get_executor(), or on the command line --executor dask",
    "ipyparallel": "client.executor()",
    "joblib": "loky.get_reusable_executor(), the pool behind joblib",
    "mpi4py": "mpi4py.futures.MPIPoolExecutor()",
    "parsl": "parsl.concurrent.ParslPoolExecutor(config)",
    "multiprocessing": "concurrent.futures.ProcessPoolExecutor()",
    "pebble": "CallExecutor(lambda call: pool.schedule(call).result())",
    "ray": "CallExecutor(lambda call: ray.get(execute.remote(call))), where execute is a remote "
    "function that calls its argument",
    "submitit": "CallExecutor(lambda call: executor.submit(call).result())",
}
_ANY_INSTEAD = "CallExecutor(call), where call(function) executes a function there and waits for it"


def require_executor(given: object, maker: str = "") -> Executor:
    """Return an executor, and refuse what is none.

    Args:
        given: The executor.
        maker: What returned it, for messages; empty for nothing that can be named.

    Raises:
        ArgumentError: It is no `concurrent.futures.Executor`.
    """
    if isinstance(given, Executor):
        return given
    named = given if isinstance(given, (ModuleType, type)) else type(given)
    module = named.__name__ if isinstance(named, ModuleType) else named.__module__
    instead = _INSTEAD.get(module.partition(".")[0], _ANY_INSTEAD)
    place = " from deepobs_bench.pools" if instead.startswith("CallExecutor") else ""
    if maker:
        fault = f"{maker} returns {given!r}, not a concurrent.futures.Executor."
    else:
        fault = f"An executor must be a concurrent.futures.Executor, got {given!r}."
    raise ArgumentError(f"{fault} Give {instead}{place}.")


class RebuildablePool(KillableExecutor):
    """An executor of another package, which is built anew when it has lost a call.

    A sweep then tries the runs that were lost once more, each alone, and goes on.

    Args:
        make: Makes the executor.
        jobs: How many calls it executes at a time; one with a `capacity` says that itself.
        shares_directory: Whether its workers can write the results; likewise.

    Raises:
        ArgumentError: What it makes is no `concurrent.futures.Executor`.
        Exception: Whatever `make` raises the first time.
    """

    def __init__(
        self, make: Callable[[], Executor], jobs: int = 1, *, shares_directory: bool = False
    ) -> None:
        self._make = make
        self._jobs = checks.integer("jobs", jobs, least=1)
        self._shares_directory = shares_directory
        self.current = require_executor(make())

    def __getattr__(self, name: str) -> Any:
        # What else a sweep looks for in executors, such as `flush`.
        return getattr(vars(self).get("current"), name)

    @property
    def capacity(self) -> int:
        """How many calls are submitted at a time."""
        capacity: int = getattr(self.current, "capacity", 2 * self._jobs)
        return capacity

    @property
    def shares_directory(self) -> bool:
        """Whether workers can write the results."""
        return self._shares_directory or getattr(self.current, "shares_directory", False)

    def rebuild(self) -> None:
        """Make the executor anew; no calls may be left.

        Raises:
            ExecutorError: It cannot be made.
        """
        with contextlib.suppress(Exception):  # it is broken, and may raise anything
            self.current.shutdown(wait=False)
        try:
            self.current = require_executor(self._make())
        except DeepOBSError:
            raise
        except Exception as error:  # other packages may raise anything
            raise ExecutorError(
                f"The executor cannot be made anew: {message_of(error)}. All results so far are "
                "kept; start the sweep again to continue."
            ) from error

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Submit a call to the present executor."""
        return self.current.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the present executor down."""
        # Those of some packages do not know the second argument.
        options = {"cancel_futures": True} if cancel_futures else {}
        self.current.shutdown(wait, **options)

    def kill_workers(self) -> None:
        """Shut it down without waiting; workers are killed if it has a method for that."""
        with contextlib.suppress(Exception):  # it may be broken, and another error is on its way
            kill = getattr(self.current, "kill_workers", None)  # of processes, since Python 3.14
            if kill is None:
                self.current.shutdown(wait=False)
            else:
                kill()


class CallExecutor(Executor):
    """An executor made of a function that executes a call elsewhere and waits for its value.

    Every call waits in a thread, which does not keep the interpreter from exiting.

    Args:
        call: Called with a function without arguments, which can be pickled; returns its value, and
            raises anything if the function was not executed.
        jobs: How many calls are submitted at a time.
        end: Called when no more calls are to be executed.
    """

    def __init__(
        self,
        call: Callable[[Callable[[], Any]], Any],
        jobs: int = 1,
        *,
        end: Callable[[], object] = lambda: None,
    ) -> None:
        self.capacity = checks.integer("jobs", jobs, least=1)
        self._call = call
        self._end = end
        self._running: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Submit a call."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        call = functools.partial(fn, *args, **kwargs)
        threading.Thread(target=self._settle, args=(future, call), daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for all calls, and end what executes them."""
        del cancel_futures  # all have begun
        if wait:
            wait_for(set(self._running))
        self._end()

    def _settle(self, future: Future[T], call: Callable[[], T]) -> None:
        try:
            future.set_result(self._call(call))
        except BaseException as error:  # nobody else would learn of it
            future.set_exception(error)
