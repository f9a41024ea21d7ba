"""Memory and time of the process that executes a sweep, without its runs.

An executor answers at once with a record of 50 epochs, as workers that write their results do: what
is left is the work of planning, looking for results, and keeping track of what ends.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

EXPERIMENT = """
problems = ["quadratic_deep"]
[optimizers.SGD]
grid = {{ lr = "log:1e-5:1:{rates}", momentum = "uniform:0:0.99:10" }}
"""
RECORD = """
import pickle, sys
from deepobs.runs import run, specify
record = run(specify("quadratic_deep", "SGD", num_epochs=50)).record
sys.stdout.buffer.write(pickle.dumps(record))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="*", default=[1_000, 50_000])
    parser.add_argument("--here", action="store_true", help="in this process, for one number")
    arguments = parser.parse_args()
    for num_runs in arguments.runs:
        if arguments.here:
            print(measured(num_runs))
        else:  # each in a process of its own, since memory that was used stays with it
            subprocess.run(
                [sys.executable, __file__, "--here", "--runs", str(num_runs)], check=True
            )


def measured(num_runs: int) -> str:
    """Execute a sweep, and say what it took."""
    import pickle
    import time
    from concurrent.futures import Executor, Future

    from deepobs_bench.experiment_files import load
    from deepobs_bench.plan import plan
    from deepobs_bench.standings import execute
    from deepobs_bench.sweep import Sweep

    class AtOnce(Executor):
        capacity = 16
        shares_directory = True

        def submit(self, function: Any, /, task: Any) -> Future[Any]:  # type: ignore[override]
            del function
            pickle.dumps(task)
            future: Future[Any] = Future()
            future.set_result(pickle.loads(content))  # noqa: S301 # our own
            return future

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "experiment.toml")
        file.write_text(EXPERIMENT.format(rates=num_runs // 10))
        # By another process, since the parent of a sweep trains nothing.
        content = subprocess.run(
            [sys.executable, "-c", RECORD], check=True, stdout=subprocess.PIPE
        ).stdout
        pickle.loads(content)  # noqa: S301 # our own; imports what unpickling takes
        before = resident()
        began = time.process_time()
        planned = plan(load(file), str(file), device="cpu")
        plan_seconds = time.process_time() - began
        began = time.process_time()
        sweep = Sweep(AtOnce(), output_dir=directory)
        results = execute(planned, sweep, jobs=8)
        seconds = time.process_time() - began
        results.standings(planned)
        after = resident()
    return (
        f"{num_runs} runs: planned in {plan_seconds:.1f} s, {1e6 * seconds / num_runs:.0f} "
        f"microseconds for each run that ends; {before:.0f} MiB with all libraries, then "
        f"{after:.0f} MiB"
    )


def resident() -> float:
    """The most memory that this process had, in MiB."""
    # `ru_maxrss` begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
