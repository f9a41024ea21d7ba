"""What the workers of a Dask cluster do: each keeps a process, in which it carries out the runs.

A run that crashes, hangs or takes all memory ends that process, not the worker, which goes on and
tells how the run ended; and the worker can answer its scheduler whatever a run does.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from distributed import get_worker

from deepobs_bench.slots import WorkerSlot
from deepobs_bench.versions import require_same_versions
from deepobs_bench.worker import WorkerSetup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from distributed import Worker

    from deepobs_bench.supervision import Limit

T = TypeVar("T")


class _Workplace:
    """The process of this worker, and for which sweep it works.

    Attributes:
        one_call_at_a_time: Held by who uses the process: a worker may have several threads.
    """

    def __init__(self) -> None:
        self.one_call_at_a_time = threading.Lock()
        self._setup: WorkerSetup | None = None
        self._slot: WorkerSlot | None = None
        self._sweep = ""

    def slot(self, sweep: str, setup: WorkerSetup) -> WorkerSlot:
        """The place for the process, another one where it would have another set-up."""
        self._sweep = sweep
        if self._slot is None or self._setup != setup:
            if self._slot is not None:
                self._slot.dismiss()
                self._slot.end()
            self._slot = WorkerSlot(setup)
            self._setup = setup
        return self._slot

    def kill(self, sweep: str) -> None:
        """End what is done for a sweep."""
        slot = self._slot
        if slot is not None and self._sweep == sweep:
            self._slot = None
            slot.dismiss()


_workplace = _Workplace()


def call_in_process(
    call: Callable[[], T],
    *,
    sweep: str,
    planned_with: Mapping[str, str],
    threads: int | None,
    limit: Limit | None,
) -> T:
    """Carry out a call in the process of this worker.

    Args:
        call: What to do.
        sweep: For whom.
        planned_with: The versions that it was planned with.
        threads: Threads of torch; `None` for as many as the worker has.
        limit: When it is killed.

    Raises:
        RunCrashedError: The process died.
        ExecutorError: Versions differ, or no process could be started.
        Exception: What the call raised.
    """
    worker = get_worker()
    require_same_versions(planned_with, worker.address)
    setup = WorkerSetup(threads=threads or worker.state.nthreads, device=None)
    with _workplace.one_call_at_a_time:
        return _workplace.slot(sweep, setup).carry_out(call, limit)


def compare_versions(planned_with: Mapping[str, str], dask_worker: Worker | None = None) -> None:
    """Refuse runs that were planned with other versions than this worker's.

    Args:
        planned_with: The versions there.
        dask_worker: Filled in by Dask: this worker.

    Raises:
        ExecutorError: Versions differ.
    """
    require_same_versions(planned_with, dask_worker.address if dask_worker else "")


def end_calls(sweep: str) -> None:
    """End what this worker does for a sweep, in the middle of it."""
    _workplace.kill(sweep)


def holds(path: Path, text: str) -> bool:
    """Whether a file can be read on this worker, and what it holds."""
    try:
        return path.read_text() == text
    except OSError:
        return False
