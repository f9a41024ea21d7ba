"""Time of a part of a run in this build and in another one, such as the latest release.

    python benchmarks/run_parts.py OTHER/bin/python quadratic_deep digits_logreg --rounds 40
    python benchmarks/run_parts.py OTHER/bin/python fmnist_2c2d --part steps

The first argument is the interpreter of an environment with the other build. Each build has a
process that sets the problem up, on synthetic data of full size; they take turns, so that whatever
else the machine does slows both. Times are those of the processor. Parts:

- evaluation: an evaluation on training and test data;
- batches: a pass over the training batches;
- steps: two steps of SGD in a plain loop over them, with the layers and the loss of the problem.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

PROBLEMS = (
    "quadratic_deep",
    "two_d_rosenbrock",
    "digits_logreg",
    "digits_mlp",
    "mnist_logreg",
    "fmnist_mlp",
)

PARTS = ("evaluation", "batches", "steps")

SERVER = """
import hashlib
import itertools
import sys
import time
import torch
from deepobs import config
from deepobs.plugins import registry
from deepobs.runs.evaluation import evaluate

torch.set_num_threads(1)
config.set_fake_data(True)
torch.manual_seed(42)
problem_class = registry().problems.load(sys.argv[1])
problem = problem_class(problem_class.spec.batch_size, device="cpu")
problem.set_up()
optimizer = torch.optim.SGD(problem.model.parameters(), lr=1e-4)

def evaluation():
    return sorted(evaluate(problem).items())

def batches():
    for batch in problem.dataset.train_loader:
        first = batch[0] if isinstance(batch, (tuple, list)) else batch
    return hashlib.sha256(first.numpy().tobytes()).hexdigest()

def steps():
    objectives = []
    for batch in itertools.islice(problem.dataset.train_loader, 2):
        optimizer.zero_grad()
        loss = problem.get_batch_loss_and_accuracy(batch)[0].mean()
        loss.backward()
        optimizer.step()
        objectives.append(loss.item())
    return objectives

work = {part.__name__: part for part in (evaluation, batches, steps)}[sys.argv[2]]
work()
with torch.no_grad():
    for parameter in problem.model.parameters():
        parameter += 0.01 * torch.randn(parameter.shape)
print(work(), flush=True)
for line in sys.stdin:
    start = time.process_time()
    for _ in range(int(line)):
        work()
    print((time.process_time() - start) / int(line), flush=True)
"""

_SECONDS = 0.03
"""Of a turn, about: short, so that drifts in the machine's speed affect both."""


class Build:
    """A process that does a part of a run on request."""

    def __init__(self, python: str, problem: str, part: str) -> None:
        self._process = subprocess.Popen(
            [python, "-c", SERVER, problem, part],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
        )
        self.outcome = self._answer()

    def seconds(self, times: int) -> float:
        """The time that it takes, from several times."""
        assert self._process.stdin is not None  # noqa: S101
        print(times, file=self._process.stdin, flush=True)
        return float(self._answer())

    def end(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdout.readline().strip()


def summary(values: list[float]) -> str:
    """The median and the range of the middle half."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def report(other: str, problem: str, part: str, rounds: int) -> None:
    """Print the times of both builds, and how many times as fast this one is."""
    builds = Build(other, problem, part), Build(sys.executable, problem, part)
    times = max(1, round(_SECONDS / builds[0].seconds(1)))
    taken = [tuple(build.seconds(times) for build in builds) for _ in range(rounds)]
    old, new = ([1000 * pair[which] for pair in taken] for which in (0, 1))
    ratios = [before / after for before, after in taken]
    same = "same bits" if builds[0].outcome == builds[1].outcome else "OTHER BITS"
    print(
        f"{problem}: {summary(old)} ms before, {summary(new)} ms now, "
        f"{summary(ratios)} times as fast, {same}",
        flush=True,
    )
    for build in builds:
        build.end()


def main() -> None:
    """Time the problems of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", help="interpreter of an environment with the other build")
    parser.add_argument("problems", nargs="*", default=PROBLEMS, metavar="PROBLEM")
    parser.add_argument("--part", choices=PARTS, default="evaluation", help="[default: evaluation]")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for problem in arguments.problems:
        report(arguments.other, problem, arguments.part, arguments.rounds)


if __name__ == "__main__":
    main()
