"""Throughput of a sweep with two worker processes, relative to one.

One and two processes execute runs of fmnist_logreg with one torch thread each, alternating many
times. The processes start before the timing. The data are synthetic, but have full size.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deepobs import config
from deepobs.resources import usable_cores
from deepobs.runs import specify
from deepobs_bench.failures import Failure
from deepobs_bench.processes import WorkerProcesses
from deepobs_bench.sweep import Sweep

if TYPE_CHECKING:
    from concurrent.futures import Executor

LEAST = 1.7
RUNS = 8  # of a sweep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10, help="timed pairs [default: 10]")
    parser.add_argument("--epochs", type=int, default=3, help="of each run [default: 3]")
    arguments = parser.parse_args()
    config.set_fake_data(True)
    print(f"{RUNS} runs of fmnist_logreg, {arguments.epochs} epochs, {usable_cores()} cores")
    with (
        tempfile.TemporaryDirectory() as directory,
        WorkerProcesses(1, threads=1) as one,
        WorkerProcesses(2, threads=1) as two,
    ):
        seeds = itertools.count()
        seconds = {
            executor: sweep_seconds(executor, Path(directory), seeds, arguments.epochs)
            for executor in (one, two)  # warm-up: start processes, create data
        }
        ratios = []
        for repeat in range(arguments.repeats):
            for executor in (one, two) if repeat % 2 else (two, one):
                seconds[executor] = sweep_seconds(
                    executor, Path(directory), seeds, arguments.epochs
                )
            ratios.append(seconds[one] / seconds[two])
            print(f"  {seconds[one]:.2f} s and {seconds[two]:.2f} s: {ratios[-1]:.3f}", flush=True)
    low, _, high = statistics.quantiles(ratios, n=4)
    print(
        f"two processes execute {statistics.median(ratios):.3f} times as many runs as one "
        f"(middle half {low:.3f} to {high:.3f}; at least {LEAST})"
    )


def sweep_seconds(
    executor: Executor, directory: Path, seeds: itertools.count[int], epochs: int
) -> float:
    """Execute new runs, and return the duration in seconds."""
    runs = [
        specify(
            "fmnist_logreg",
            "SGD",
            {"lr": 0.01},
            num_epochs=epochs,
            random_seed=next(seeds),
            device="cpu",
        )
        for _ in range(RUNS)
    ]
    began = time.perf_counter()
    for _, outcome in Sweep(executor, output_dir=directory).execute(runs):
        if isinstance(outcome, Failure):
            raise SystemExit(outcome.message)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
