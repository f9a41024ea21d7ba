r"""Time and memory to read the results of a study, and to show them, also beside an earlier build.

The study is as large as that of Schmidt et al., "Descending through a Crowded Valley" (ICML 2021):
8 problems, 14 optimizers, 4 schedules, 110 configurations with one seed each and one of them with
ten more. Its files are those of real runs, written by the product with other curves.

Every timing is that of a new process whose files are in the page cache. Builds take turns. This
shows the whole study, which is kept, and the published results:

    python benchmarks/loading.py --steps table,score,report,published --runs 53760 \
        --results STUDY --published PUBLISHED --baseline EARLIER/bin/python
"""

from __future__ import annotations

import argparse
import math
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import count, islice, product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deepobs.runs import run, specify, store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

HAS_ACCURACY = {
    "quadratic_deep": False,
    "mnist_vae": False,
    "fmnist_vae": False,
    "fmnist_2c2d": True,
    "cifar10_3c3d": True,
    "cifar100_allcnnc": True,
    "svhn_wrn164": True,
    "tolstoi_char_rnn": True,
}
OPTIMIZERS = (
    *("ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax"),
    *("Momentum", "NAdam", "Nesterov", "RAdam", "RMSprop", "Rprop", "SGD"),
)
SCHEDULES = (
    None,
    {"name": "CosineAnnealingLR", "arguments": {"T_max": "num_epochs"}},
    {"name": "StepLR", "arguments": {"step_size": 20}},
    {"name": "ExponentialLR", "arguments": {"gamma": 0.95}},
)
CONFIGURATIONS, FURTHER_SEEDS, ADDED = 110, 10, 100
RUNS = len(HAS_ACCURACY) * len(OPTIMIZERS) * len(SCHEDULES) * (CONFIGURATIONS + FURTHER_SEEDS)
READING, SHOWING = ("first", "again", "added"), ("table", "score", "report")
# The published results with no cache, which `deepobs baselines` downloads.
PUBLISHED = "published"
READ = """
import resource, sys, time
from deepobs_analysis import load
import pandas, numpy

def used():
    those = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(sum(resource.getrusage(each)[:2]) for each in those)

began, before = time.perf_counter(), used()
results = load(sys.argv[1])
print(time.perf_counter() - began, used() - before)
"""
LABELS = (
    *("reading", "reading, of all processors"),
    *("the command", "the command, of all processors"),
)


class Cost(NamedTuple):
    """What a command takes, and of it what reading takes; for other commands, that is the same.

    Attributes:
        seconds: Seconds of reading.
        processors: Those of all processors.
        whole: Seconds of the command.
        whole_processors: Those of all processors.
        memory: The largest memory of all processes together, in MiB.
    """

    seconds: float
    processors: float
    whole: float
    whole_processors: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=RUNS // 7, help="[default: a seventh of all]")
    parser.add_argument("--epochs", type=int, default=50, help="of each run [default: 50]")
    parser.add_argument("--repeats", type=int, default=3, help="timed times [default: 3]")
    parser.add_argument("--baseline", metavar="PYTHON", help="interpreter of an earlier build")
    parser.add_argument(
        "--steps",
        default=",".join(READING),
        help=f"some of {', '.join((*READING, *SHOWING, PUBLISHED))} [default: reading alone]",
    )
    parser.add_argument("--results", type=Path, help="results to use, written if there are none")
    parser.add_argument("--published", type=Path, help="the published results, for that step")
    arguments = parser.parse_args()
    builds = {"this": Path(sys.executable)}
    if arguments.baseline:
        builds["baseline"] = Path(arguments.baseline).absolute()
    steps = set(arguments.steps.split(","))
    if unknown := steps.difference(READING, SHOWING, [PUBLISHED]):
        parser.error(f"there are no steps {', '.join(sorted(unknown))}")
    if PUBLISHED in steps and arguments.published is None:
        parser.error("give the published results with --published")
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        results = arguments.results or place / "results"
        if not results.exists() and steps != {PUBLISHED}:
            write_study(results, arguments.runs, arguments.epochs)
        costs: dict[tuple[str, str], list[Cost]] = {}
        for _ in range(arguments.repeats):
            for build, python in builds.items():
                measured = [*cost_of_reading(python, results, place, steps)]
                measured += cost_of_showing(python, results, place, steps)
                if PUBLISHED in steps:
                    measured += cost_of_report(python, arguments.published, place)
                for step, each in measured:
                    costs.setdefault((step, build), []).append(each)
        count = len(list(results.rglob("*.json")))
        print(f"{count} files{' and the published ones' * (PUBLISHED in steps)}")
        print(f"{os.cpu_count()} cores")
    show(costs)


def cost_of_reading(
    python: Path, results: Path, place: Path, steps: Set[str]
) -> Iterator[tuple[str, Cost]]:
    """Read the files without a cache, with one, and with one that lacks some files."""
    if steps.isdisjoint(READING):
        return
    cache = Path(tempfile.mkdtemp(dir=place))
    reading = [str(python), "-c", READ, str(results)]
    yield "first", cost(reading, cache)
    yield "again", cost(reading, cache)
    moved = {path: place / path.name for path in islice(sorted(results.rglob("*.json")), ADDED)}
    for path, aside in moved.items():
        shutil.move(path, aside)
    cost(reading, cache)
    for path, aside in moved.items():
        shutil.move(aside, path)
    yield "added", cost(reading, cache)
    shutil.rmtree(cache)


def cost_of_showing(
    python: Path, results: Path, place: Path, steps: Set[str]
) -> Iterator[tuple[str, Cost]]:
    """Execute commands that show results, which are in the cache."""
    if steps.isdisjoint(SHOWING):
        return
    cache = Path(tempfile.mkdtemp(dir=place))
    cost([str(python), "-c", READ, str(results)], cache)
    for step in filter(steps.__contains__, SHOWING):
        options = ["-o", str(place / "page.html")] if step == "report" else []
        yield step, cost([str(python.with_name("deepobs")), step, str(results), *options], cache)
    shutil.rmtree(cache)


def cost_of_report(python: Path, published: Path, place: Path) -> Iterator[tuple[str, Cost]]:
    """Write a report on results that no cache holds."""
    cache = Path(tempfile.mkdtemp(dir=place))
    command = [str(python.with_name("deepobs")), "report", str(published)]
    yield PUBLISHED, cost([*command, "-o", str(place / "page.html")], cache)
    shutil.rmtree(cache)


def cost(command: list[str], cache: Path) -> Cost:
    """The cost of a command, which prints that of reading if it is Python."""
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "DEEPOBS_CACHE_DIR": str(cache)},
            stdout=output,
            cwd=cache.parent,
        )
        memory = 0.0
        while process.poll() is None:
            memory = max(memory, memory_of(process.pid))
            time.sleep(0.02)
        whole = time.perf_counter() - began
        whole_processors = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before
        if process.returncode:
            sys.exit(f"{command} failed")
        output.seek(0)
        reading = map(float, output.read().split()) if command[1] == "-c" else ()
    seconds, processors = reading or (whole, whole_processors)
    return Cost(seconds, processors, whole, whole_processors, memory)


def memory_of(process: int) -> float:
    """Resident memory of a process and its children in MiB; pages that they share count twice."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has ended
        return 0.0
    return pages * os.sysconf("SC_PAGESIZE") / 2**20 + sum(map(memory_of, map(int, children)))


def show(costs: dict[tuple[str, str], list[Cost]]) -> None:
    for (step, build), measured in costs.items():
        *costs_of_it, memory = zip(*measured, strict=True)
        *costs_before, _ = zip(*costs.get((step, "baseline"), measured), strict=True)
        print(f"{step:<9} {build:<9} {max(memory):6.0f} MiB")
        lines = list(zip(LABELS, costs_of_it, costs_before, strict=True))
        for label, now, before in lines if step in READING else lines[-2:]:
            ratio = statistics.median(before) / statistics.median(now)
            print(f"   {label:<32} {spread(now)}   {ratio:.1f} times as fast")


def spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):7.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def write_study(directory: Path, num_runs: int, num_epochs: int) -> None:
    """Write the first of its runs, or all of them."""
    of_kind = {
        has_accuracy: run(specify(problem, "SGD", num_epochs=num_epochs)).record
        for problem, has_accuracy in (("digits_logreg", True), ("quadratic_deep", False))
    }
    randomness = random.Random(1)  # noqa: S311
    for specification in islice(study(num_epochs), num_runs):
        problem = specification.testproblem
        record = described(of_kind[HAS_ACCURACY[problem]], specification)
        level = abs(math.log10(specification.hyperparameters["lr"]) + 2.5)
        level += 0.02 * len(specification.optimizer) + 0.01 * randomness.random()
        store.write(directory, specification, with_curves(record, level, randomness).to_json())


def study(num_epochs: int) -> Iterator[RunSpecification]:
    """Its runs, and further seeds of them; any part has all problems, optimizers, schedules."""
    kinds = [
        specify(problem, optimizer, {"lr": 0.1}, num_epochs=num_epochs, lr_scheduler=schedule)
        for problem, optimizer, schedule in product(HAS_ACCURACY, OPTIMIZERS, SCHEDULES)
    ]
    for number in count():
        further = max(0, number - CONFIGURATIONS + 1)
        lr = 10 ** (-2.4 if further else -5 + number / 20)
        for kind in kinds:
            changed = {"hyperparameters": {**kind.hyperparameters, "lr": lr}}
            yield kind.model_copy(update={**changed, "random_seed": 42 + further})


def described(record: RunRecord, specification: RunSpecification) -> RunRecord:
    """A record with the description of another run."""
    scheduler = specification.lr_scheduler
    params = {"lr_scheduler": scheduler.model_dump() if scheduler else None}
    return record.model_copy(
        update={
            "run_id": specification.run_id,
            "testproblem": specification.testproblem,
            "optimizer_name": specification.optimizer,
            "optimizer_target": specification.optimizer_target,
            "optimizer_hyperparams": specification.hyperparameters,
            "random_seed": specification.random_seed,
            "training_params": record.training_params | params,
            "command": specification.command,
        }
    )


def with_curves(record: RunRecord, level: float, randomness: random.Random) -> RunRecord:
    """A record with curves that end at another level, some of which diverge.

    Args:
        record: The record.
        level: 0 for curves as they are, more for worse ones.
        randomness: What draws all else.
    """
    diverged_at = randomness.randrange(1, record.num_epochs) if level > 2 else None
    update: dict[str, object] = {}
    for name in ("train_losses", "test_losses", "train_accuracies", "test_accuracies"):
        curve = getattr(record, name)
        if curve is not None:
            first, worse = curve[0], 0.1 * level
            curve = [
                first * worse + value * (1 - worse) * randomness.uniform(0.98, 1) for value in curve
            ]
            if name.endswith("accuracies"):
                curve = [round(320 * value) / 320 for value in curve]
            if diverged_at is not None:
                curve[diverged_at:] = [curve[0]] * (len(curve) - diverged_at)
            update[name] = curve
    for name in ("train_seconds", "eval_seconds"):
        update[name] = [value * randomness.uniform(0.9, 1.1) for value in getattr(record, name)]
    if diverged_at is not None:
        update |= {"status": "diverged", "diverged_at_epoch": diverged_at}
    return record.model_copy(update=update)


if __name__ == "__main__":
    main()
