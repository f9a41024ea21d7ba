"""A run of a sweep in several processes, among which its batches are divided."""

from __future__ import annotations

import os
import pickle
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from deepobs.errors import ProcessGroupError
from deepobs_bench._worker import portable
from deepobs_bench.failures import RunStoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def in_processes(count: int, function: Callable[[], T]) -> T:
    """Call a function in processes of their own, which form a group as those of torchrun.

    Args:
        count: Number of processes.
        function: The function, which is pickled.

    Returns:
        What it returned in the first process.

    Raises:
        RunStoppedError: One of the processes ended in the middle of it.
        Exception: What it raised.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
        start_method="spawn",  # this process has threads, which a fork would not copy
    )
    with tempfile.TemporaryDirectory() as directory:
        try:
            outcomes = elastic_launch(config, _call)(function, directory)
        except ChildFailedError as error:
            raise _cause_of(error, Path(directory)) from error
    value: T = outcomes[0]
    return value


def _call(function: Callable[[], T], directory: str) -> T:
    try:
        return function()
    except Exception as error:
        # A value that is returned would not end the others, which wait for this process.
        Path(directory, os.environ["RANK"]).write_bytes(pickle.dumps(portable(error)))
        raise


def _cause_of(error: ChildFailedError, directory: Path) -> Exception:
    """What ended a run: others only say that they lost the process in which it happened."""
    raised: dict[int, Exception] = {
        int(path.name): pickle.loads(path.read_bytes())  # noqa: S301 # of our own processes
        for path in sorted(directory.iterdir())
    }
    for each in raised.values():
        if not isinstance(each, ProcessGroupError):
            return each
    for rank, failure in error.failures.items():
        if rank not in raised:
            return RunStoppedError("crash", f"Process {rank} of the run ended: {failure.message}")
    return next(iter(raised.values()))
