"""Deterministic work on portions of a data set in worker processes."""

from __future__ import annotations

import contextlib
import math
import signal
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from deepobs import config
from deepobs.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PortionT = TypeVar("PortionT")
ResultT = TypeVar("ResultT")

# Up to so many workers prefetch two portions, so that none ever waits for the next. With more, each
# has one: others bridge the wait, and the memory that processes share stays bounded.
_FEW_WORKERS = 4


def in_workers(
    function: Callable[[PortionT], ResultT],
    portions: Iterable[PortionT],
    num_portions: int,
    *,
    num_workers: int | None = None,
    ahead: int = 0,
    pin_memory: bool = False,
) -> Iterator[ResultT]:
    """Apply a function to portions in worker processes.

    The processes end with the iterator. The random numbers of this process are not affected.

    Args:
        function: Applied to each portion; must be picklable.
        portions: The arguments, iterated in this process ahead of their results.
        num_portions: Their maximum number; no more processes than that are started.
        num_workers: Number of processes, 0 for this one; `None` for `config.get_num_workers()`.
        ahead: Number of portions to process ahead of the requested result.
        pin_memory: Whether to put resulting tensors into page-locked memory for CUDA.

    Yields:
        The results in the order of the portions.

    Raises:
        DataError: The function raised it, or the system killed a worker. Other errors are raised
            with the worker's traceback.
    """
    wanted = config.get_num_workers() if num_workers is None else num_workers
    num_workers = min(wanted, num_portions)
    options: dict[str, Any] = {"num_workers": num_workers, "pin_memory": pin_memory}
    if num_workers:
        at_least = 2 if num_workers <= _FEW_WORKERS else 1
        options["prefetch_factor"] = max(at_least, math.ceil(ahead / num_workers))
    with _lost_workers_explained():
        for result in _started(_Results(function), portions, options):
            if isinstance(result, _Failure):
                raise result.error
            yield result


@contextlib.contextmanager
def _lost_workers_explained() -> Iterator[None]:
    """Explain the error if the system killed a worker process."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            "The system killed a worker process that loads data, usually for lack of "
            "(shared) memory. Use fewer of them by --workers, DEEPOBS_NUM_WORKERS or "
            "config.set_num_workers, a smaller batch, or give a container more shared memory "
            "(for Docker, --shm-size)."
        ) from error


def _started(
    results: _Results[PortionT, ResultT], portions: Iterable[PortionT], options: dict[str, Any]
) -> Iterator[ResultT | _Failure]:
    # On the CPU, even if torch.set_default_device chose another device: workers cannot share that.
    with warnings.catch_warnings(), torch.device("cpu"):
        # The user chose the number of processes, even if torch considers it too large.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        # Newer versions of Python deprecate forking with threads, which torch always has.
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
        loader: DataLoader[ResultT | _Failure] = DataLoader(
            results,
            sampler=portions,
            batch_size=None,
            collate_fn=_unchanged,
            worker_init_fn=_leave_interrupts_to_the_parent,
            # Without its own, it would draw from the global generator, and runs would differ.
            generator=torch.Generator(),
            **options,
        )
        return iter(loader)


@dataclass(frozen=True)
class _Failure:
    """An error to raise in the main process."""

    error: DataError


class _Results(Dataset["ResultT | _Failure"], Generic[PortionT, ResultT]):
    """The function as a data set of torch's loader."""

    def __init__(self, function: Callable[[PortionT], ResultT]) -> None:
        self._function = function

    def __getitem__(self, portion: PortionT) -> ResultT | _Failure:
        try:
            return self._function(portion)
        except DataError as error:
            return _Failure(error)


def _unchanged(result: ResultT) -> ResultT:
    return result


def _leave_interrupts_to_the_parent(worker: int) -> None:
    # Ctrl-C reaches every process of a terminal: workers would print a traceback each.
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
