"""Time of a training step of a run, relative to a hand-written loop.

The hand-written loop trains the same model with the same optimizer on one preloaded batch
(augmented, if the problem augments), so that it consists of the step only. The timings alternate
many times in this process, a few steps each, without evaluation. The data are synthetic, but have
full size.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from deepobs import config
from deepobs.plugins import registry
from deepobs.problems.diagnostics import Diagnostic, LearnedMap, half_squared_error
from deepobs.problems.synthetic import QuadraticDeep
from deepobs.runs.timing import seconds_of
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from deepobs.protocols import Batch, Loader, TestProblem

DIAGNOSTICS = (
    *("deep_linear", "matrix_factorization", "rotated_ravine", "saddle_chain"),
    *("sparse_embedding", "plateau"),
)
LIMITS = {"fmnist_mlp": 1.05, "fmnist_logreg": 1.25, "quadratic_deep": 1.5, "cifar10_3c3d": 1.05}
LIMITS |= {"excerpt_gpt": 1.05, **dict.fromkeys(DIAGNOSTICS, 1.5)}
BATCH_SIZE = 128
BATCH_SIZES = {"excerpt_gpt": 12, "tolstoi_gpt": 64}
"""Those of other problems."""
LEARNING_RATE = 1e-3
SECONDS = 0.2  # of one timing: short, so that drifts in the machine's speed affect both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problems", nargs="*", default=list(LIMITS), metavar="PROBLEM")
    parser.add_argument("--repeats", type=int, default=60, help="timed pairs [default: 60]")
    arguments = parser.parse_args()
    config.set_fake_data(True)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'problem':<16} {'run ms':>9} {'bare ms':>9} {'ratio':>7}  middle half of the ratios")
    for name in arguments.problems:
        report(name, measure(name, arguments.repeats))


def report(name: str, pairs: list[tuple[float, float]]) -> None:
    ratios = [run / bare for run, bare in pairs]
    low, _, high = statistics.quantiles(ratios, n=4)
    limit = f"; at most {LIMITS[name]}" if name in LIMITS else ""
    print(
        f"{name:<16} {1000 * statistics.median(run for run, _ in pairs):>9.4f} "
        f"{1000 * statistics.median(bare for _, bare in pairs):>9.4f} "
        f"{statistics.median(ratios):>7.3f}  {low:.3f} to {high:.3f}{limit}",
        flush=True,
    )


def measure(name: str, repeats: int) -> list[tuple[float, float]]:
    """Seconds per step of the run and of the bare loop, a pair for each repeat."""
    run_problem, bare_problem = set_up(name), set_up(name)
    device = run_problem.device
    bare_steps = bare_loop(bare_problem)
    seconds_of(bare_steps, 20, device)  # allocators and kernels settle
    num_steps = max(10, round(SECONDS * 20 / seconds_of(bare_steps, 20, device)))
    run_steps = run_loop(run_problem, num_steps)
    run_steps(num_steps)
    pairs = []
    for repeat in range(repeats):
        # Alternate the order, so that neither is favored.
        loops = (run_steps, bare_steps) if repeat % 2 else (bare_steps, run_steps)
        seconds = {loop: seconds_of(loop, num_steps, device) / num_steps for loop in loops}
        pairs.append((seconds[run_steps], seconds[bare_steps]))
    return pairs


def set_up(name: str) -> TestProblem:
    torch.manual_seed(42)
    batch_size = BATCH_SIZES.get(name, BATCH_SIZE)
    problem: TestProblem = registry().problems.load(name)(batch_size)
    problem.set_up()
    return problem


class Portions:
    """Yield the batches of successive passes in portions of one timing each.

    Args:
        loader: Yields the batches of a pass.
        num_steps: Batches of a portion.
    """

    def __init__(self, loader: Loader, num_steps: int) -> None:
        self._batches = itertools.chain.from_iterable(itertools.repeat(loader))
        self._num_steps = num_steps

    def __len__(self) -> int:
        return self._num_steps

    def __iter__(self) -> Iterator[Batch]:
        return itertools.islice(self._batches, self._num_steps)


def run_loop(problem: TestProblem, num_steps: int) -> Callable[[int], None]:
    """Steps of the run loop, including loading."""
    problem.dataset.train_loader = Portions(problem.dataset.train_loader, num_steps)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=LEARNING_RATE)
    trainer = Trainer(problem, optimizer)

    def steps(num_steps: int) -> None:
        objectives: list[float] = []
        for _ in trainer.train_epoch(problem.dataset.train_loader, objectives):
            pass
        assert len(objectives) == num_steps  # noqa: S101 # else the timing means nothing

    return steps


def bare_loop(problem: TestProblem) -> Callable[[int], None]:
    """Hand-written steps, all on the first batch."""
    model = problem.model
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    batch = next(iter(problem.dataset.train_loader))

    kernels = [m.weight for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    weight_decay = problem.weight_decay
    learns_map = isinstance(problem, LearnedMap)
    computes_losses = isinstance(problem, Diagnostic | QuadraticDeep) and not learns_map
    smoothing = problem.spec.options.get("label_smoothing", 0.0)

    def objective(batch: Batch) -> Tensor:
        if computes_losses:
            losses: Tensor = model(*batch)
            return losses.mean()
        inputs, labels, *noise = batch
        if learns_map:
            return half_squared_error(model(inputs), labels).mean()
        if noise:  # diffusion: the model predicts it
            return F.mse_loss(model(inputs, *noise), noise[0])
        outputs = model(inputs).flatten(0, -2)  # of texts, the positions of all sequences
        loss = F.cross_entropy(outputs, labels.flatten(), label_smoothing=smoothing)
        if not weight_decay:
            return loss
        return loss + 0.5 * weight_decay * sum(kernel.square().sum() for kernel in kernels)

    def steps(num_steps: int) -> None:
        model.train()
        for _ in range(num_steps):
            optimizer.zero_grad()
            objective(batch).backward()
            optimizer.step()

    return steps


if __name__ == "__main__":
    main()
