"""Work on portions of a data set in worker processes, in order and with nothing left to chance."""

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

_FEW_WORKERS = 4
"""Up to so many have two portions in hand, so that none ever waits for the next one. Of more, each
has one: others bridge the wait, and the memory that processes share stays bounded."""


def in_workers(
    function: Callable[[PortionT], ResultT],
    portions: Iterable[PortionT],
    num_portions: int,
    *,
    ahead: int = 0,
    pin_memory: bool = False,
) -> Iterator[ResultT]:
    """Apply a function to portions, in `config.get_num_workers()` processes; 0 means in this one.

    The processes end when the iterator is exhausted or let go of. Neither the number of processes
    nor this pass itself has any influence on the random numbers of this process.

    Args:
        function: What to do with a portion; importable by name, or an object that pickles.
        portions: The arguments. They are asked for in this process, ahead of their results.
        num_portions: How many there are at most; no more processes than that are started.
        ahead: How many portions to work on ahead of the result that is asked for.
        pin_memory: Whether resulting tensors are to be in memory that a CUDA device reads fast.

    Yields:
        The results in the order of the portions.

    Raises:
        DataError: The function raised it, or the system ended a worker. All other errors come with
            the worker's traceback.
    """
    num_workers = min(config.get_num_workers(), num_portions)
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
    """Say what helps where the system ended a worker process."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            "A worker process that loads data was ended by the system, most often for lack of "
            "(shared) memory. Use fewer of them by --workers, DEEPOBS_NUM_WORKERS or "
            "config.set_num_workers, a smaller batch, or give a container more shared memory "
            "(for Docker, --shm-size)."
        ) from error


def _started(
    results: _Results[PortionT, ResultT], portions: Iterable[PortionT], options: dict[str, Any]
) -> Iterator[ResultT | _Failure]:
    # On the CPU, even where torch.set_default_device chose another for new tensors.
    with warnings.catch_warnings(), torch.device("cpu"):
        # The user chose how many processes there are, whatever torch thinks of the number.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        # Newer Pythons deprecate to fork where there are threads, which torch always has.
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
        loader: DataLoader[ResultT | _Failure] = DataLoader(
            results,
            sampler=portions,
            batch_size=None,
            collate_fn=_unchanged,
            worker_init_fn=_leave_interrupts_to_the_parent,
            # Without one of its own, it would draw from the global generator.
            generator=torch.Generator(),
            **options,
        )
        return iter(loader)


@dataclass(frozen=True)
class _Failure:
    """An error on its way to the process that asked for the result."""

    error: DataError


class _Results(Dataset["ResultT | _Failure"], Generic[PortionT, ResultT]):
    """The function, in the form in which torch's loader calls it."""

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
    """Ctrl-C reaches every process of a terminal; the parent ends the workers without a word."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
