"""What runs of test problems cost here: parameters, time and memory, each in a new process.

The numbers go to tools/reference/problem_costs.json, from which `tools/generate_reference.py` makes
a table of docs/reference/problems.md. Problems that are not named keep theirs. Missing data are
replaced by synthetic ones; SGD trains on one thread of the CPU.
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
    options = ["SGD", "--lr", "1e-8", "--device", "cpu", "--threads", "1", "--seconds", seconds]
    try:
        estimated = answer("estimate", name, *options)
    except subprocess.CalledProcessError:  # its data are missing
        estimated = answer("estimate", name, *options, "--fake-data", "0.01")
    return {
        "parameters": facts["parameters"],
        "epoch_seconds": float(f"{estimated['epoch_seconds']:.2g}"),
        "run_seconds": float(f"{estimated['run_seconds']:.2g}"),
        "memory": estimated["peak_memory"]["process"],
        "machine": f"{platform.machine()}, torch {torch.__version__.partition('+')[0]}",
    }


def answer(command: str, *options: str) -> Any:
    """What a command writes as JSON."""
    words = [sys.executable, "-m", "deepobs", command, *options, "--json"]
    finished = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout)


if __name__ == "__main__":
    main()
