"""What runs of test problems cost here: parameters, time and memory, each in a new process.

The numbers go to tools/reference/problem_costs.json, from which `tools/generate_reference.py` makes
a table of docs/reference/problems.md. Problems that are not named keep theirs. Missing data are
replaced by synthetic ones of the same size; SGD trains on one thread of the CPU.

Batches of large networks take minutes here, and more memory than there is. They are measured with
two smaller batch sizes: the time is that of as many examples, and the memory that on the line
through both.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

FILE = Path(__file__).parents[1] / "tools/reference/problem_costs.json"
SMALLER_BATCHES = {
    "cifar10_resnet18": 16,
    "cifar100_resnet18": 16,
    "cifar10_vit": 32,
    "cifar100_vit": 32,
    "imagenet_resnet50": 4,
    "imagenet_vit_s16": 4,
    "tolstoi_gpt": 8,
}
"""Divisors of batch sizes that take seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problems", nargs="+", metavar="PROBLEM")
    parser.add_argument("--seconds", default="3", help="measured for each [default: 3]")
    arguments = parser.parse_args()
    costs = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in arguments.problems:
        costs[name] = cost_of(name, arguments.seconds)
        print(name, costs[name], flush=True)
        FILE.write_text(json.dumps(dict(sorted(costs.items())), indent=1) + "\n")


def cost_of(name: str, seconds: str) -> dict[str, Any]:
    """Measure one problem."""
    (facts,) = answer("info", name)
    batch_size = facts["batch_size"]
    smaller = SMALLER_BATCHES.get(name, batch_size)
    estimated = estimate(name, seconds, smaller)
    memory = estimated["peak_memory"]["process"]
    if smaller < batch_size:
        twice = estimate(name, seconds, 2 * smaller)["peak_memory"]["process"]
        memory += (twice - memory) * (batch_size // smaller - 1)
    return {
        "parameters": facts["parameters"],
        "epoch_seconds": float(f"{estimated['epoch_seconds']:.2g}"),
        "run_seconds": float(f"{estimated['run_seconds']:.2g}"),
        "memory": memory,
        "machine": f"{platform.machine()}, torch {torch.__version__.partition('+')[0]}",
    }


def estimate(name: str, seconds: str, batch_size: int) -> Any:
    """Measure a part of a run."""
    options = [
        *("SGD", "--lr", "1e-8", "--device", "cpu", "--threads", "1"),
        *("--seconds", seconds, "--batch-size", str(batch_size)),
    ]
    try:
        return answer("estimate", name, *options)
    except subprocess.CalledProcessError:  # its data are missing
        # Images of ImageNet are read as they are needed: their number does not affect memory.
        fraction = "0.001" if name.startswith("imagenet") else "1"
        return answer("estimate", name, *options, "--fake-data", fraction)


def answer(command: str, *options: str) -> Any:
    """What a command writes as JSON."""
    words = [sys.executable, "-m", "deepobs", command, *options, "--json"]
    finished = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout)


if __name__ == "__main__":
    main()
