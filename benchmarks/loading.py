"""Time to load many result files, without and with the cache.

The files are synthetic, but have a realistic size: ten seeds per configuration, all curves, twenty
minibatch losses. Each timing uses a new process and excludes the import of libraries. The files are
in the page cache of the operating system.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LIMITS = {"cold": 10.0, "warm": 1.0}  # seconds for 10000 files
SEEDS_PER_CONFIGURATION = 10
_READING = """
import sys, time
from deepobs_analysis import reading
start = time.perf_counter()
results = reading.load(sys.argv[1])
print(time.perf_counter() - start, len(results.runs), len(results.skipped))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="how many [default: 10000]")
    parser.add_argument("--epochs", type=int, default=50, help="of each run [default: 50]")
    parser.add_argument("--repeats", type=int, default=5, help="timed times [default: 5]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        results, cache = Path(directory, "results"), Path(directory, "cache")
        write_files(results, arguments.files, arguments.epochs)
        seconds: dict[str, list[float]] = {"cold": [], "warm": []}
        for _ in range(arguments.repeats):
            for path in cache.rglob("*.npz"):
                path.unlink()
            for measured in seconds.values():
                measured.append(seconds_to_read(results, cache, arguments.files))
    print(f"{arguments.files} files of {arguments.epochs} epochs, {os.cpu_count()} cores")
    for name, measured in seconds.items():
        limit = f"; at most {LIMITS[name]:g} s for 10000" if arguments.files == 10_000 else ""
        print(f"{name:<5} {statistics.median(measured):7.3f} s{limit}")


def seconds_to_read(results: Path, cache: Path, num_files: int) -> float:
    """Load the files in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", _READING, str(results)],
        env={**os.environ, "DEEPOBS_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, num_runs, num_skipped = done.stdout.split()
    assert (int(num_runs), int(num_skipped)) == (num_files, 0)  # noqa: S101 # else the timing means nothing
    return float(seconds)


def write_files(directory: Path, num_files: int, num_epochs: int) -> None:
    for index in range(num_files):
        configuration, seed = divmod(index, SEEDS_PER_CONFIGURATION)
        path = directory / f"problem_{configuration % 7}" / "SGD" / f"configuration_{configuration}"
        path.mkdir(parents=True, exist_ok=True)
        content = result(f"problem_{configuration % 7}", configuration, seed, num_epochs)
        moment = f"2026-01-02-03-04-05-{index:06}"
        (path / f"random_seed__{seed}__{moment}.json").write_text(json.dumps(content, indent=1))


def result(problem: str, configuration: int, seed: int, num_epochs: int) -> dict[str, object]:
    """The content of a result file."""
    curves = [
        f"{split}_{metric}"
        for split in ("train", "valid", "test")
        for metric in ("losses", "accuracies")
    ]
    lr = 10 ** (-5 + configuration / 100)
    return {
        "schema_version": 1,
        "run_id": f"{configuration:08x}{seed:08x}",
        "status": "completed",
        "testproblem": problem,
        "optimizer_name": "SGD",
        "optimizer_target": "torch.optim:SGD",
        "optimizer_source": "",
        "optimizer_hyperparams": {"lr": lr, "momentum": 0.9},
        "optimizer_needs": [],
        "parameter_groups": {},
        "batch_size": 128,
        "num_epochs": num_epochs,
        "random_seed": seed,
        "weight_decay": 0.0005,
        "training_params": {
            "lr_sched_epochs": None,
            "lr_sched_factors": None,
            "lr_scheduler": None,
            "validation_size": 0,
            "reshuffle": True,
            "train_log_interval": 10,
        },
        **{name: [random.random() for _ in range(num_epochs + 1)] for name in curves},  # noqa: S311
        "minibatch_train_losses": [random.random() for _ in range(20)],  # noqa: S311
        "diverged_at_epoch": None,
        "diverged_at_step": None,
        "train_seconds": [random.random() for _ in range(num_epochs)],  # noqa: S311
        "eval_seconds": [random.random() for _ in range(num_epochs + 1)],  # noqa: S311
        "steps": 469 * num_epochs,
        "gradient_evaluations": 469 * num_epochs,
        "fake_data": False,
        "full_evaluation": False,
        "bare_losses": False,
        "dataset": {"name": "data", "fingerprint": "0" * 64, "split_sizes": {"train": 60000}},
        "dtype": "float32",
        "device": "cpu",
        "hardware": {"machine": "x86_64", "system": "Linux", "cores": 2, "torch_threads": 2},
        "versions": {"python": "3.11.7", "torch": "2.14.1", "deepobs-core": "1.2.0"},
        "command": f"deepobs run {problem} SGD --lr {lr} --momentum 0.9 --seed {seed}",
        "started_at": "2026-01-02T03:04:05+00:00",
    }


if __name__ == "__main__":
    main()
