"""Options of large runs against plain steps: time with channels last, time and memory of parts.

Timings of a pair alternate in this process, a few steps each, so that drifts in the machine's speed
affect both; memory is the growth of a process of its own. The data are synthetic.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import torch

from deepobs import config
from deepobs.errors import TrainingWarning
from deepobs.runs import specify
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.environment import reproducible
from deepobs.runs.estimate import peak_memory, reset_peak_memory
from deepobs.runs.timing import time_in_turn, work_on
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs.run_specifications import RunSpecification

TIMES: list[tuple[str, str, dict[str, Any], str]] = [
    ("channels_last", "fmnist_2c2d", {"channels_last": True}, "at most 0.91 (1.1 times as fast)"),
    ("channels_last", "cifar10_3c3d", {"channels_last": True}, "no limit"),
    ("accumulate=4", "fmnist_mlp", {"accumulate": 4}, "no limit: the optimizer's part is large"),
    ("accumulate=4", "fmnist_2c2d", {"accumulate": 4}, "at most 1.05"),
    ("accumulate=4", "cifar10_3c3d", {"accumulate": 4}, "at most 1.05"),
    ("log_gradient_norm", "fmnist_2c2d", {"log_gradient_norm": True}, "no limit"),
]
MEMORY = ("cifar100_wrn404", 128, {"accumulate": 4})
_MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each pair [default: 20]")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--memory-batch-size", type=int, default=MEMORY[1])
    arguments = parser.parse_args()
    config.set_fake_data(0.05)
    config.set_default_device("cpu")
    warnings.simplefilter("ignore", TrainingWarning)  # micro-batches have their own statistics
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("seconds of a step with the option over those of a plain one: median (quartiles)")
    for option, problem, options, limit in TIMES:
        ratios = ratios_of(problem, options, arguments.batch_size, arguments.seconds)
        low, median, high = statistics.quantiles(ratios, n=4)
        what = f"{option} {problem}"
        print(f"{what:<32} {median:.3f} ({low:.3f} to {high:.3f}); {limit}", flush=True)
    report_memory(arguments.memory_batch_size)


def ratios_of(
    problem: str, options: dict[str, Any], batch_size: int, seconds: float
) -> list[float]:
    """Seconds of a step with options over those of a plain one, of every round."""
    plain = specify(problem, "SGD", {"lr": 1e-3}, batch_size=batch_size)
    with reproducible(plain):
        rivals = [
            steps_of(one)
            for one in (
                plain,
                specify(problem, "SGD", {"lr": 1e-3}, batch_size=batch_size, **options),
            )
        ]
        _, rounds = time_in_turn(rivals, seconds=seconds, device=torch.device("cpu"))
    return [with_option / without for without, with_option in rounds]


def steps_of(specification: RunSpecification) -> Callable[[int], object]:
    """Steps of a run on the same few batches: loading is no part of what is compared."""
    problem = set_up_problem(specification)
    optimizer = build_optimizer(specification, problem)
    trainer = Trainer(problem, optimizer, specification=specification)
    problem.model.train()
    batches = list(itertools.islice(problem.dataset.train_loader, 4))
    return work_on(batches, trainer.take_steps)


def report_memory(batch_size: int) -> None:
    """Compare the memory that two steps add to a process that is set up."""
    name, _, options = MEMORY
    peaks = []
    for changes in ({}, options):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            peaks.append(pool.submit(growth_of, name, batch_size, changes).result())
    whole, parts = peaks
    print(f"memory of steps, {name}, batch {batch_size}: {whole / _MIB:.0f} MiB at once, ", end="")
    print(f"{parts / _MIB:.0f} MiB in 4 parts: ratio {parts / whole:.3f}; at most 0.45")


def growth_of(name: str, batch_size: int, options: dict[str, Any]) -> int:
    """Bytes that the first two steps need beyond what set up model and data have."""
    config.set_fake_data(0.05)
    config.set_default_device("cpu")
    warnings.simplefilter("ignore", TrainingWarning)
    specification = specify(name, "SGD", {"lr": 1e-3}, batch_size=batch_size, **options)
    with reproducible(specification):
        steps = steps_of(specification)
        reset_peak_memory(torch.device("cpu"))
        before = peak_memory(torch.device("cpu")).process or 0
        steps(2)
        return (peak_memory(torch.device("cpu")).process or 0) - before


if __name__ == "__main__":
    main()
