"""Time of a training step of a run over that of a hand-written loop.

The hand-written loop trains the same model with the same optimizer on one batch that was loaded
before, so it does nothing but the step itself. Both are timed in turn, an epoch or more each, in
this process; evaluation is left out. The data are synthetic, but of full size.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from deepobs import config
from deepobs.plugins import registry
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs.protocols import Batch, TestProblem

LIMITS = {"fmnist_mlp": 1.05, "fmnist_logreg": 1.25, "quadratic_deep": 1.5}
BATCH_SIZE = 128
LEARNING_RATE = 1e-3
LEAST_SECONDS = 0.5  # a timing covers as many epochs as it takes to last this long


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problems", nargs="*", default=list(LIMITS), metavar="PROBLEM")
    parser.add_argument("--repeats", type=int, default=7, help="timed pairs [default: 7]")
    arguments = parser.parse_args()
    config.set_fake_data(True)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {BATCH_SIZE}")
    print(f"{'problem':<16} {'run ms':>9} {'bare ms':>9} {'ratio':>7}  ratios of the pairs")
    for name in arguments.problems:
        report(name, measure(name, arguments.repeats))


def report(name: str, pairs: list[tuple[float, float]]) -> None:
    ratios = sorted(run / bare for run, bare in pairs)
    limit = f"; at most {LIMITS[name]}" if name in LIMITS else ""
    print(
        f"{name:<16} {1000 * statistics.median(run for run, _ in pairs):>9.4f} "
        f"{1000 * statistics.median(bare for _, bare in pairs):>9.4f} "
        f"{statistics.median(ratios):>7.3f}  {ratios[0]:.3f} to {ratios[-1]:.3f}{limit}",
        flush=True,
    )


def measure(name: str, repeats: int) -> list[tuple[float, float]]:
    """Seconds per step of the run and of the bare loop, a pair for each repeat."""
    run_epoch, bare_epoch, num_steps = run_loop(name), bare_loop(name), steps_per_epoch(name)
    timed(run_epoch, 1)  # allocators and kernels settle
    rounds = max(1, round(LEAST_SECONDS / timed(bare_epoch, 1)))
    pairs = []
    for repeat in range(repeats):
        # Which comes first alternates, so that a drifting machine favours neither.
        loops = (run_epoch, bare_epoch) if repeat % 2 else (bare_epoch, run_epoch)
        seconds = {loop: timed(loop, rounds) / (rounds * num_steps) for loop in loops}
        pairs.append((seconds[run_epoch], seconds[bare_epoch]))
    return pairs


def timed(epoch: Callable[[], None], rounds: int) -> float:
    start = time.perf_counter()
    for _ in range(rounds):
        epoch()
    return time.perf_counter() - start


def set_up(name: str) -> TestProblem:
    torch.manual_seed(42)
    problem: TestProblem = registry().problems.load(name)(BATCH_SIZE)
    problem.set_up()
    return problem


def steps_per_epoch(name: str) -> int:
    return len(set_up(name).dataset.train_loader)


def run_loop(name: str) -> Callable[[], None]:
    """An epoch as runs train it."""
    problem = set_up(name)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=LEARNING_RATE)
    trainer = Trainer(problem, optimizer, needs_closure=False)
    return lambda: trainer.train_epoch(lambda _steps, _loss: None) and None


def bare_loop(name: str) -> Callable[[], None]:
    """As many steps as one would write them by hand, all on the first batch."""
    problem = set_up(name)
    model = problem.model
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    batch = next(iter(problem.dataset.train_loader))
    num_steps = len(problem.dataset.train_loader)

    def objective(batch: Batch) -> Tensor:
        if len(batch) == 1:  # quadratic_deep: the model computes the losses
            losses: Tensor = model(batch[0])
            return losses.mean()
        images, labels = batch
        return F.cross_entropy(model(images), labels)

    def epoch() -> None:
        model.train()
        for _ in range(num_steps):
            optimizer.zero_grad()
            objective(batch).backward()
            optimizer.step()

    return epoch


if __name__ == "__main__":
    main()
