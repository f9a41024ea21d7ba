"""Options of large runs against plain steps: time of divided batches and options, and memory.

Timings of a pair alternate, a few steps each, so that drifts in the machine's speed affect both;
memory is the growth of a process of its own. The data are synthetic.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import os
import statistics
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from deepobs import config
from deepobs.errors import TrainingWarning
from deepobs.runs import specify
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.environment import reproducible
from deepobs.runs.estimate import peak_memory, reset_peak_memory
from deepobs.runs.ranks import ranks_of
from deepobs.runs.shared_problem import set_up_shared_problem
from deepobs.runs.timing import time_in_turn, work_on
from deepobs.runs.training import Trainer
from deepobs_bench._rank_processes import in_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deepobs.protocols import Batch, TestProblem
    from deepobs.run_specifications import RunSpecification

ONE_RANK = {
    "cifar10_3c3d": "at most 1.03",
    "fmnist_2c2d": "at most 1.03",
    "tolstoi_transformer": "at most 1.03",
    "fmnist_mlp": "no limit: the optimizer's part is large",
}
TWO_RANKS = {
    "cifar10_3c3d": "at least 1.7",
    "tolstoi_transformer": "at least 1.7",
    "fmnist_2c2d": "no limit",
    "cifar100_wrn164": "no limit: batch normalization waits in each layer",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "channels_last": {"channels_last": True},
    "accumulate=4": {"accumulate": 4},
    "log_gradient_norm": {"log_gradient_norm": True},
}
WITH_OPTION = {
    ("channels_last", "fmnist_2c2d"): "at most 0.91 (1.1 times as fast)",
    ("channels_last", "cifar10_3c3d"): "no limit",
    ("accumulate=4", "fmnist_mlp"): "no limit: the optimizer's part is large",
    ("accumulate=4", "fmnist_2c2d"): "at most 1.05",
    ("accumulate=4", "cifar10_3c3d"): "at most 1.05",
    ("log_gradient_norm", "fmnist_2c2d"): "no limit",
}
MEMORY = "cifar100_wrn404"
_MIB = 2**20


def main() -> None:
    rows = all_rows()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="any of: " + ", ".join(rows))
    parser.add_argument("--seconds", type=float, default=20.0, help="of each pair [default: 20]")
    parser.add_argument("--batch-size", type=int, help="[default: that of the problem]")
    arguments = parser.parse_args()
    if unknown := [row for row in arguments.rows if row not in rows]:
        parser.error(f"no row {unknown[0]!r}; choose from {', '.join(rows)}")
    configure()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; median (quartiles)")
    for name in arguments.rows or rows:
        report = rows[name](arguments.batch_size, arguments.seconds)
        print(f"{name:<32} {report}", flush=True)


def all_rows() -> dict[str, Callable[[int | None, float], str]]:
    """What is measured, by name."""
    rows: dict[str, Callable[[int | None, float], str]] = {}
    for problem, limit in ONE_RANK.items():
        rows[f"one_rank:{problem}"] = functools.partial(report_one_rank, problem, limit)
    for problem, limit in TWO_RANKS.items():
        rows[f"two_ranks:{problem}"] = functools.partial(report_two_ranks, problem, limit)
    for (option, problem), limit in WITH_OPTION.items():
        rows[f"{option}:{problem}"] = functools.partial(report_option, problem, option, limit)
    rows[f"memory:{MEMORY}"] = report_memory
    return rows


def configure() -> None:
    config.set_fake_data(0.05)
    config.set_default_device("cpu")
    warnings.simplefilter("ignore", TrainingWarning)  # micro-batches have their own statistics


def spread(values: Iterable[float]) -> str:
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:.3f} ({low:.3f} to {high:.3f})"


def report_one_rank(problem: str, limit: str, batch_size: int | None, seconds: float) -> str:
    """Time of a step as torchrun starts it with one process, over that of a plain step."""
    rounds = in_processes(1, functools.partial(rounds_of_rank, problem, batch_size, seconds, None))
    ratios = [divided / plain for plain, divided in rounds]
    return f"time of a step {spread(ratios)}; {limit}"


def report_two_ranks(problem: str, limit: str, batch_size: int | None, seconds: float) -> str:
    """Examples a second of two processes over those of one, each with one thread."""
    rounds = in_processes(2, functools.partial(rounds_of_rank, problem, batch_size, seconds, 1))
    ratios = [plain / divided for plain, divided in rounds]
    milliseconds = 1000 * statistics.median(plain for plain, _ in rounds)
    return f"examples a second {spread(ratios)}; {limit} (one rank: {milliseconds:.1f} ms a step)"


def rounds_of_rank(
    name: str, batch_size: int | None, seconds: float, threads: int | None
) -> list[tuple[float, ...]]:
    """Seconds of a plain step and of a divided one, of every round, in the first process.

    The others wait while it takes plain steps.
    """
    configure()
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    specification = specify(name, "SGD", {"lr": 1e-3}, batch_size=batch_size)
    with reproducible(specification):
        ranks = ranks_of(specification)
        assert ranks is not None  # noqa: S101 # for types: there are processes
        plain = steps_of(specification, set_up_problem(specification), with_loading=True)
        divided = steps_of(
            specification, set_up_shared_problem(specification, ranks), with_loading=True
        )
        units = torch.zeros(1, dtype=torch.int64)

        def divided_in_all(number: int) -> None:
            dist.broadcast(units.fill_(number), src=0)
            divided(number)

        rounds: list[tuple[float, ...]] = []
        if ranks.is_main:
            rivals = [plain, divided_in_all]
            _, rounds = time_in_turn(rivals, seconds=seconds, device=torch.device("cpu"))
            dist.broadcast(units.zero_(), src=0)
        else:
            dist.broadcast(units, src=0)
            while units:
                divided(int(units))
                dist.broadcast(units, src=0)
    return rounds


def report_option(
    problem: str, option: str, limit: str, batch_size: int | None, seconds: float
) -> str:
    """Time of a step with an option over that of a plain one."""
    plain = specify(problem, "SGD", {"lr": 1e-3}, batch_size=batch_size)
    with_option = specify(problem, "SGD", {"lr": 1e-3}, batch_size=batch_size, **OPTIONS[option])
    with reproducible(plain):
        rivals = [steps_of(one, set_up_problem(one)) for one in (plain, with_option)]
        _, rounds = time_in_turn(rivals, seconds=seconds, device=torch.device("cpu"))
    return f"time of a step {spread(changed / plain for plain, changed in rounds)}; {limit}"


def steps_of(
    specification: RunSpecification, problem: TestProblem, *, with_loading: bool = False
) -> Callable[[int], object]:
    """Steps of a run, on the same few batches if loading is no part of what is compared."""
    optimizer = build_optimizer(specification, problem)
    trainer = Trainer(problem, optimizer, specification=specification)
    problem.model.train()
    loader: Iterable[Batch] = problem.dataset.train_loader
    return work_on(
        loader if with_loading else list(itertools.islice(loader, 4)), trainer.take_steps
    )


def report_memory(batch_size: int | None, seconds: float) -> str:
    """Compare the memory that two steps add to a process that is set up."""
    del seconds
    peaks = []
    for changes in ({}, OPTIONS["accumulate=4"]):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            peaks.append(pool.submit(growth_of, MEMORY, batch_size, changes).result())
    whole, parts = peaks
    return (
        f"{whole / _MIB:.0f} MiB at once, {parts / _MIB:.0f} MiB in 4 parts: "
        f"{parts / whole:.3f}; at most 0.45"
    )


def growth_of(name: str, batch_size: int | None, options: dict[str, Any]) -> int:
    """Bytes that the first two steps need beyond what set up model and data have."""
    configure()
    specification = specify(name, "SGD", {"lr": 1e-3}, batch_size=batch_size, **options)
    with reproducible(specification):
        steps = steps_of(specification, set_up_problem(specification))
        reset_peak_memory(torch.device("cpu"))
        before = peak_memory(torch.device("cpu")).process or 0
        steps(2)
        return (peak_memory(torch.device("cpu")).process or 0) - before


if __name__ == "__main__":
    main()
