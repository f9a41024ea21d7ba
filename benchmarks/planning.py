"""Time to plan an experiment of many configurations, and to find the pending runs.

Each timing uses a new process: from the experiment file to the plan, and from the plan to the
pending runs of a directory that has a result of every run, for the first time and again. It is the
time of the processor, and excludes the import of libraries. Whole commands, which show the table of
an experiment of which nothing is pending, are compared with `import torch`. With the interpreter of
another build, both are timed in turn, each with results of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

EXPERIMENT = """
problems = ["quadratic_deep"]
[optimizers.SGD]
grid = {{ lr = "log:1e-5:1:{rates}", momentum = "uniform:0:0.99:100" }}
"""
BEFORE = """
import sys, time
from pathlib import Path
try:
    from deepobs_bench.workload import take_inventory
    from deepobs_bench.experiment_files import load
    from deepobs_bench.plan import plan
except ImportError:  # the names before there was deepobs-bench
    from deepobs.experiments.inventory import take_inventory
    from deepobs.experiments.loading import load
    from deepobs.experiments.plan import plan
try:
    from deepobs_bench.result_index import ResultIndex
    opened = ResultIndex.with_kept
except (ImportError, AttributeError):  # `take_inventory` opened it
    opened = Path
from deepobs.runs import run, store
import torch
torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # which imports half of torch
file, results = map(Path, sys.argv[1:])
began = time.process_time()
specifications = plan(load(file), str(file), device="cpu").specifications
planned = time.process_time()
"""
WRITE = """
result = run(specifications[0].model_copy(update={"num_epochs": 50}))
record = getattr(result, "record", result)
directory_of = getattr(store, "configuration_directory", None) or store.setting_directory
for each in specifications:
    described = {"run_id": each.run_id, "optimizer_hyperparams": each.hyperparameters}
    path = directory_of(results, each) / f"random_seed__{each.random_seed}__.json"
    path.parent.mkdir(parents=True)
    path.write_text(record.model_copy(update=described).to_json())
"""
TIME = """
inventory = take_inventory(specifications, opened(results))
decided = time.process_time()
pending = getattr(inventory, "missing", None)
print(planned - began, decided - planned, len(inventory[0] if pending is None else pending))
"""
COMMAND = """
import sys
from deepobs.cli.main import main
sys.exit(main(["bench", sys.argv[1], "--out", sys.argv[2], "--device", "cpu"]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", nargs="?", help="the Python interpreter of another build")
    parser.add_argument(
        "--configurations", type=int, default=53_700, help="how many [default: 53700]"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed times [default: 5]")
    arguments = parser.parse_args()
    pythons = {"this build": sys.executable}
    if arguments.other:
        pythons["the other build"] = arguments.other
    times: dict[str, list[dict[str, float]]] = {build: [] for build in pythons}
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "experiment.toml")
        file.write_text(EXPERIMENT.format(rates=arguments.configurations // 100))
        for build, python in pythons.items():
            execute(python, BEFORE + WRITE, file, Path(directory, build))
        for _ in range(arguments.repeats):
            for build, python in pythons.items():
                times[build].append(seconds_of(python, file, Path(directory, build)))
        print(f"{arguments.configurations} configurations, load {os.getloadavg()[0]:.1f}")
    for step in times["this build"][0]:
        of_step = {build: [each[step] for each in those] for build, those in times.items()}
        for build, seconds in of_step.items():
            print(
                f"{step}, {build}: "
                f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
            )
        if arguments.other:
            pairs = zip(of_step["the other build"], of_step["this build"], strict=True)
            ratios = [theirs / ours for theirs, ours in pairs]
            print(
                f"{step}: {statistics.median(ratios):.1f} times as fast as the other build "
                f"({min(ratios):.1f} to {max(ratios):.1f})"
            )


def execute(python: str, code: str, file: Path, results: Path) -> str:
    """What a new process prints that executes code."""
    command = [python, "-c", code, str(file), str(results)]
    environment = os.environ | {"DEEPOBS_CACHE_DIR": f"{results}-cache"}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout


def seconds_of(python: str, file: Path, results: Path) -> dict[str, float]:
    """Processor time of new processes that plan, find pending runs, and execute nothing."""
    seconds = {}
    shutil.rmtree(f"{results}-cache", ignore_errors=True)
    for step in ("deciding for the first time", "deciding again"):
        planned, decided, num_pending = execute(python, BEFORE + TIME, file, results).split()
        assert num_pending == "0"  # noqa: S101 # else the timing means nothing
        seconds |= {"planning": float(planned), step: float(decided)}
    for step in ("the command for the first time", "the command again"):
        before = os.times()
        execute(python, COMMAND, file, results)
        seconds[step] = seconds_since(before)
    before = os.times()
    execute(python, "import torch", file, results)
    seconds["import torch"] = seconds_since(before)
    return seconds


def seconds_since(before: os.times_result) -> float:
    """Processor time of the processes that ended since then."""
    now = os.times()
    return now.children_user + now.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
