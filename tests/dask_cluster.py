"""A Dask cluster of this machine, for tests: a real scheduler and real workers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Cluster:
    """A scheduler and its workers, as processes.

    Attributes:
        address: The address of the scheduler.
        workers: The processes of the workers.
    """

    def __init__(self, directory: Path, workers: int = 2) -> None:
        self.directory = directory
        self.file = directory / "scheduler.json"
        self.scheduler = self._start("dask_scheduler", "--port", "0", "--host", "127.0.0.1")
        self.address = self._address_of_scheduler()
        self.workers = [self.add_worker() for _ in range(workers)]

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start another worker."""
        return self._start("dask_worker", "--nthreads", "1", "--no-nanny")

    def kill_worker(self) -> None:
        """Kill one of the workers, without a warning."""
        lost = self.workers.pop()
        lost.kill()
        lost.wait()

    def close(self) -> None:
        """Kill all of it."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _address_of_scheduler(self) -> str:
        # The file is there before its content is.
        while not self.file.exists() or not (content := self.file.read_text()):
            assert self.scheduler.poll() is None, "the scheduler has ended"
            time.sleep(0.02)
        return str(json.loads(content)["address"])

    def _start(self, command: str, *options: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{command}.log").open("ab") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", f"distributed.cli.{command}"),
                    *("--scheduler-file", str(self.file), "--no-dashboard", *options),
                ],
                stdout=log,
                stderr=log,
                cwd=self.directory,
            )
