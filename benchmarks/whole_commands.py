"""Whole commands of this build and of another one, such as the latest release, in turn.

    python benchmarks/whole_commands.py OTHER/bin/python run again threads --rounds 7 --busy 1

The first argument is the interpreter of an environment with the other build. Commands of a case
take turns, so that whatever else the machine does slows all of them. Times are those of the clock
and, in brackets, of the processor.

- run: a run of one epoch, against a script that takes the same steps;
- again: the same command when its result exists, against `import torch`;
- threads: the grid of the paper (36 learning rates, 3 optimizers), one run at a time;
- jobs: the same, two at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RUN = "run quadratic_deep SGD --lr 0.01 --epochs 1 --device cpu --out"

BARE = """
import torch

torch.set_num_threads(1)
hessian = torch.diag(torch.cat([torch.rand(90), 30 + 30 * torch.rand(10)]))
theta = torch.nn.Parameter(torch.ones(1, 100))
optimizer = torch.optim.SGD([theta], lr=0.01)
train, test = 0.6 * torch.randn(2, 1000, 100)


def objective(batch):
    difference = theta - batch
    return 0.5 * (difference * (difference @ hessian)).sum(dim=1).mean()


def evaluate():
    with torch.no_grad():
        return [objective(part[at:at + 128]).item() for part in (train, test) for at in STARTS]


STARTS = range(0, 896, 128)
evaluate()
order = torch.randperm(1000)
for at in STARTS:
    optimizer.zero_grad()
    loss = objective(train[order[at:at + 128]])
    loss.backward()
    optimizer.step()
    loss.item()
evaluate()
"""
"""What `RUN` does, as a user would write it."""

GRID = """
problems = ["quadratic_deep"]

[defaults]
epochs = {epochs}

[optimizers.SGD]
grid = {{ lr = {rates} }}

[optimizers.Momentum]
grid = {{ lr = {rates} }}

[optimizers.Adam]
grid = {{ lr = {rates} }}
"""

Command = tuple[list[str], bool]
"""Words, and whether a directory for results, empty each time, is one more."""


def commands_of(
    case: str, other: str, place: Path, *, rates: int, epochs: int
) -> dict[str, Command]:
    """The commands of a case by name; the first is what the others are compared with."""
    builds = {"other build": other, "this build": sys.executable}
    scripts = {name: str(Path(python).with_name("deepobs")) for name, python in builds.items()}
    if case == "run":
        runs: dict[str, Command] = {k: ([v, *RUN.split()], True) for k, v in scripts.items()}
        return {"bare script": ([sys.executable, "-c", BARE], False), **runs}
    if case == "again":
        again = {
            name: ([script, *RUN.split(), str(place / name)], False)
            for name, script in scripts.items()
        }
        for command, _ in again.values():
            subprocess.run(command, cwd=place, check=True, capture_output=True)
        return {"import torch": ([sys.executable, "-c", "import torch"], False), **again}
    grid = [round(10 ** (-5 + step / 5), 7) for step in range(rates)]
    (place / "grid.toml").write_text(GRID.format(rates=grid, epochs=epochs))
    jobs = {"threads": "1", "jobs": "2"}[case]
    words = ["bench", "grid.toml", "--no-estimate", "--device", "cpu", "--jobs", jobs, "--out"]
    return {name: ([script, *words], True) for name, script in scripts.items()}


def timed(command: Command, place: Path) -> tuple[float, float]:
    """The seconds of the clock and of the processor that a command takes."""
    words, has_results = command
    if has_results:
        words = [*words, tempfile.mkdtemp(dir=place)]
    # As users start it: the number of threads is up to the build.
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, cwd=place, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, processor


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """Keep other processes busy meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in others:
            process.kill()


def summary(values: list[float]) -> str:
    """The median and the range of the middle half."""
    if len(values) == 1:
        return f"{values[0]:.3g}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def show(case: str, taken: dict[str, list[tuple[float, float]]]) -> None:
    """Print the times of the commands, and their ratios to the first."""
    base, *_ = taken.values()
    part: Callable[[list[tuple[float, float]], int], list[float]]
    part = lambda values, which: [one[which] for one in values]  # noqa: E731
    print(case)
    for name, values in taken.items():
        ratios = [
            [one / first for one, first in zip(part(values, w), part(base, w), strict=True)]
            for w in (0, 1)
        ]
        print(
            f"  {name}: {summary(part(values, 0))} s [{summary(part(values, 1))} s], "
            f"ratio {summary(ratios[0])} [{summary(ratios[1])}]",
            flush=True,
        )


def main() -> None:
    """Time the cases of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", help="interpreter of an environment with the other build")
    parser.add_argument("cases", nargs="+", choices=("run", "again", "threads", "jobs"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rates", type=int, default=36, help="of the grid [default: 36]")
    parser.add_argument("--epochs", type=int, default=100, help="of its runs [default: 100]")
    parser.add_argument("--busy", type=int, default=0, help="other processes that are busy")
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {arguments.busy} busy processes")
    for case in arguments.cases:
        with tempfile.TemporaryDirectory() as directory, busy(arguments.busy):
            commands = commands_of(
                case,
                arguments.other,
                Path(directory),
                rates=arguments.rates,
                epochs=arguments.epochs,
            )
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
            for _ in range(arguments.rounds):
                for name, command in commands.items():
                    taken[name].append(timed(command, Path(directory)))
            show(case, taken)


if __name__ == "__main__":
    main()
