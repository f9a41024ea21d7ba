"""Time until the worker processes of a sweep accept runs, of one and of several.

Every repeat starts them anew, from a process that has imported everything. With the interpreter of
another build, both are timed in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

TIMED = """
import os, sys, time
try:
    from deepobs_bench.processes import WorkerProcesses
except ImportError:  # the name before there was deepobs-bench
    from deepobs.experiments.processes import WorkerProcesses
jobs = int(sys.argv[1])
began = time.perf_counter()
with WorkerProcesses(jobs, threads=1) as workers:
    calls = [workers.submit(os.getpid) for _ in range(jobs)]
    assert len({call.result() for call in calls}) == jobs
    print(time.perf_counter() - began)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", nargs="?", help="the Python interpreter of another build")
    parser.add_argument("--jobs", type=int, default=8, help="of the several [default: 8]")
    parser.add_argument("--repeats", type=int, default=5, help="timed times [default: 5]")
    arguments = parser.parse_args()
    pythons = {"this build": sys.executable}
    if arguments.other:
        pythons["the other build"] = arguments.other
    cases = [(build, jobs) for build in pythons for jobs in (1, arguments.jobs)]
    seconds: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    for _ in range(arguments.repeats):
        for build, jobs in cases:
            command = [pythons[build], "-c", TIMED, str(jobs)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds[build, jobs].append(float(done.stdout))
    print(f"load {os.getloadavg()[0]:.1f}")
    for (build, jobs), times in seconds.items():
        print(
            f"{jobs} of {build}: {statistics.median(times):.2f} s "
            f"({min(times):.2f} to {max(times):.2f})"
        )
    for build in pythons:
        pairs = zip(seconds[build, arguments.jobs], seconds[build, 1], strict=True)
        ratios = [several / one for several, one in pairs]
        print(
            f"{build}: {arguments.jobs} start in {statistics.median(ratios):.2f} times the time of "
            f"one ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
