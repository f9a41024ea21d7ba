"""Tasks that are executed side by side, in forks of this process."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import signal
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs.resources import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_Returned = TypeVar("_Returned")

# Forks find the tasks here, so that neither these nor the results they are about are copied.
_tasks: list[Callable[[], Any]] = []


@contextlib.contextmanager
def in_forks(
    tasks: Sequence[Callable[[], _Returned]],
) -> Iterator[Callable[[], list[_Returned]]]:
    """Execute tasks on all cores beside the block, or here, where forks are not safe.

    Args:
        tasks: Functions that only return something, and need no torch. The longest ones should
            come first.

    Yields:
        What waits for the tasks, and returns what they return or raises what one of them raises.
    """
    count = min(usable_cores(), len(tasks))
    if count < 2 or not _is_safe():
        yield lambda: [task() for task in tasks]
        return
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(count, context, _prepare)
    _tasks[:] = tasks
    try:
        # Python 3.12 counts the threads of BLAS, too, which are prepared for forks.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            futures = [pool.submit(_executed, place) for place in range(len(tasks))]
        yield lambda: [each.result() for each in futures]
    finally:
        pool.shutdown(cancel_futures=True)
        _tasks.clear()


def _is_safe() -> bool:
    """Whether no other thread of this process can hold a lock, which a fork would never get."""
    # torch has threads of its own, as soon as it has computed anything.
    has_threads = threading.active_count() > 1 or "torch" in sys.modules
    return sys.platform == "linux" and not has_threads


def _prepare() -> None:
    # The process that waits for the tasks reports the interrupt, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Visiting the results would copy their memory.
    gc.freeze()


def _executed(place: int) -> Any:
    return _tasks[place]()
