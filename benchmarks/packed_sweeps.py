"""Time of a sweep whose runs are packed, relative to one of another build that executes each alone.

Both execute the grid of the paper, 36 learning rates of SGD, Momentum and Adam, as `deepobs bench`
with one process and one thread. They alternate, and both are measured in clock time and processor
time of all their processes, from the start of the command to its end. It also compares the results
after three epochs: the metrics of configurations that do not amplify rounding, and the best
learning rates. The data of fmnist are synthetic, but have full size.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LEAST = {"quadratic_deep": 6.0, "two_d_rosenbrock": 10.0, "digits_logreg": 4.0}
LEAST |= {"fmnist_logreg": 2.5}
EPOCHS = {"quadratic_deep": 100, "two_d_rosenbrock": 30, "digits_logreg": 50, "fmnist_logreg": 5}
RATES = [10 ** (-5 + 7 * number / 35) for number in range(36)]
LARGEST_CALM = {"SGD": 1e-2, "Momentum": 1e-3, "Adam": 1e-2}
"""Up to this learning rate, no problem here amplifies differences of rounding."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problems", nargs="*", default=list(LEAST), metavar="PROBLEM")
    parser.add_argument("--old", default=sys.executable, help="interpreter of the other build")
    parser.add_argument("--repeats", type=int, default=3, help="timed pairs [default: 3]")
    parser.add_argument("--epochs", type=int, help="of each run [default: by problem]")
    parser.add_argument("--optimizers", default="SGD,Momentum,Adam")
    arguments = parser.parse_args()
    optimizers = arguments.optimizers.split(",")
    for problem in arguments.problems:
        epochs = arguments.epochs or EPOCHS.get(problem, 3)
        compare(problem, optimizers, epochs, arguments.old, arguments.repeats)


def compare(problem: str, optimizers: list[str], epochs: int, old: str, repeats: int) -> None:
    ratios: dict[str, list[float]] = {"clock": [], "processor": []}
    commands = {
        "old": [old, "-m", "deepobs", "bench"],
        "new": [sys.executable, "-m", "deepobs", "bench", "--executor", "packed"],
    }
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        experiment = written(directory, problem, optimizers, epochs)
        for repeat in range(repeats):
            taken = {}
            for name in list(commands)[:: 1 if repeat % 2 else -1]:
                results = directory / f"{name}{repeat}"
                taken[name] = seconds_of([*commands[name], str(experiment), "--out", str(results)])
            for number, kind in enumerate(ratios):
                ratios[kind].append(taken["old"][number] / taken["new"][number])
        experiment = written(directory, problem, optimizers, 3)
        for name, command in commands.items():
            seconds_of([*command, str(experiment), "--out", str(directory / name)])
        found = [directory / "old" / problem, directory / "new" / problem]
        agreement = [agreement_of(*(each / name for each in found), name) for name in optimizers]
    words = [
        f"{kind} {statistics.median(those):.2f} ({min(those):.2f} to {max(those):.2f})"
        for kind, those in ratios.items()
    ]
    least = f"; at least {LEAST[problem]:g}" if problem in LEAST else ""
    print(f"{problem}, {epochs} epochs: {', '.join(words)} times as fast{least}")
    for line in agreement:
        print(f"  {line}", flush=True)


def written(directory: Path, problem: str, optimizers: list[str], epochs: int) -> Path:
    """An experiment file."""
    fake = "fake_data = 1.0\n" if problem.startswith("fmnist") else ""
    grids = "".join(f"[optimizers.{name}]\ngrid.lr = {RATES}\n" for name in optimizers)
    path = directory / f"experiment{epochs}.toml"
    path.write_text(
        f'problems = ["{problem}"]\nseeds = [42]\n[defaults]\nepochs = {epochs}\n{fake}{grids}'
    )
    return path


def seconds_of(command: list[str]) -> tuple[float, float]:
    """Clock time and processor time of a command with its processes."""
    options = ["--no-estimate", "--device", "cpu", "--threads", "1"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [*command, *options],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, sum(getattr(after, n) - getattr(before, n) for n in ("ru_utime", "ru_stime"))


def agreement_of(old: Path, new: Path, optimizer: str) -> str:
    """The largest relative difference of losses and accuracies, and the best learning rates."""
    runs = [by_rate(old), by_rate(new)]
    largest = 0.0
    for rate, theirs in runs[0].items():
        if rate <= LARGEST_CALM.get(optimizer, math.inf):
            for name in ("train_losses", "test_losses", "train_accuracies", "test_accuracies"):
                pairs = zip(theirs.get(name, ()), runs[1][rate].get(name, ()), strict=True)
                largest = max([largest, *(abs(a - b) / max(abs(a), 1e-6) for a, b in pairs)])
    best = {min(each, key=lambda rate: final(each[rate])) for each in runs}
    is_same = "the same best rate" if len(best) == 1 else f"best rates {sorted(best)}"
    return f"{optimizer}: metrics differ by {largest:.1e}, {is_same}"


def by_rate(directory: Path) -> dict[float, dict[str, Any]]:
    records = [json.loads(path.read_text()) for path in sorted(directory.rglob("*.json"))]
    return {one["optimizer_hyperparams"]["lr"]: one for one in records}


def final(record: dict[str, Any]) -> float:
    value = record["test_losses"][-1]
    return math.inf if value is None or record["status"] != "completed" else value


if __name__ == "__main__":
    main()
