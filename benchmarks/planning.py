"""Time to plan an experiment of many configurations, and to find the pending runs.

Each timing uses a new process: from the experiment file to the plan, and from the plan to the
pending runs of a directory that has a result of every run. It excludes the import of libraries.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from deepobs.runs import run, store
from deepobs_bench.experiment_files import load
from deepobs_bench.plan import plan

LIMIT = 2.0  # seconds, for 10000 configurations
EXPERIMENT = """
problems = ["quadratic_deep"]
[optimizers.SGD]
grid = {{ lr = "log:1e-5:1:{rates}", momentum = "uniform:0:0.99:100" }}
"""
TIMED = """
import sys, time
from pathlib import Path
from deepobs_bench.workload import take_inventory
from deepobs_bench.experiment_files import load
from deepobs_bench.plan import plan
import torch
torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # which imports half of torch
began = time.perf_counter()
specifications = plan(load(Path(sys.argv[1])), sys.argv[1], device="cpu").specifications
planned = time.perf_counter()
pending, _ = take_inventory(specifications, Path(sys.argv[2]))
decided = time.perf_counter()
print(planned - began, decided - planned, len(pending))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--configurations", type=int, default=10_000, help="how many [default: 10000]"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed times [default: 5]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        file, results = Path(directory, "experiment.toml"), Path(directory, "results")
        file.write_text(EXPERIMENT.format(rates=arguments.configurations // 100))
        write_results(file, results)
        times = [seconds_of(file, results) for _ in range(arguments.repeats)]
    for name, seconds in zip(("planning", "deciding"), zip(*times, strict=True), strict=True):
        print(
            f"{name} {arguments.configurations} configurations: {statistics.median(seconds):.2f} s "
            f"({min(seconds):.2f} to {max(seconds):.2f}; at most {LIMIT} for 10000)"
        )


def write_results(file: Path, directory: Path) -> None:
    """Write a result of every run, all with the numbers of the first."""
    specifications = plan(load(file), str(file), device="cpu").specifications
    record = run(specifications[0].model_copy(update={"num_epochs": 2})).record
    for each in specifications:
        described = {"run_id": each.run_id, "optimizer_hyperparams": each.hyperparameters}
        path = (
            store.configuration_directory(directory, each)
            / f"random_seed__{each.random_seed}__.json"
        )
        path.parent.mkdir(parents=True)
        path.write_text(record.model_copy(update=described).to_json())


def seconds_of(file: Path, results: Path) -> tuple[float, float]:
    """Seconds that a new process takes to plan and to find pending runs."""
    command = [sys.executable, "-c", TIMED, str(file), str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    planned, decided, num_pending = done.stdout.split()
    assert num_pending == "0"  # noqa: S101 # else the timing means nothing
    return float(planned), float(decided)


if __name__ == "__main__":
    main()
