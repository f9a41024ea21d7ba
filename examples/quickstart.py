"""Benchmark three optimizers on two test problems with three seeds, with no download.

Run it as `python examples/quickstart.py`. It needs deepobs-core and deepobs-vision, takes well
under two minutes on two cores, and leaves a result file for every run in `results/quickstart`.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from deepobs.runs import RunRecord, run, specify
from deepobs.runs.progress import live_progress

SEEDS = (42, 43, 44)
NUM_EPOCHS = {"quadratic_deep": 50, "digits_mlp": 20}
LEARNING_RATES = {
    ("quadratic_deep", "SGD"): 1e-2,
    ("quadratic_deep", "Momentum"): 2e-3,
    ("quadratic_deep", "Adam"): 3e-2,
    ("digits_mlp", "SGD"): 0.3,
    ("digits_mlp", "Momentum"): 0.05,
    ("digits_mlp", "Adam"): 1e-3,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/quickstart"))
    output_dir = parser.parse_args().out
    specifications = [
        specify(
            problem,
            optimizer,
            {"lr": learning_rate},
            num_epochs=NUM_EPOCHS[problem],
            random_seed=seed,
        )
        for (problem, optimizer), learning_rate in LEARNING_RATES.items()
        for seed in SEEDS
    ]
    with live_progress(len(specifications)) as observers:
        records = [
            run(specification, output_dir=output_dir, observers=observers)
            for specification in specifications
        ]
    console = Console()
    console.print(summary(records))
    console.print(f"{len(records)} result files are in {output_dir}.", highlight=False)


def summary(records: list[RunRecord]) -> Table:
    """A row for each setting: mean and standard deviation over its seeds at the end of training."""
    title = f"After training: mean ± deviation of {len(SEEDS)} seeds"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("problem", "optimizer"):
        table.add_column(heading, no_wrap=True)
    for heading in ("lr", "test loss", "accuracy", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for problem, optimizer in LEARNING_RATES:
        runs = [r for r in records if (r.testproblem, r.optimizer_name) == (problem, optimizer)]
        table.add_row(
            problem,
            optimizer,
            f"{runs[0].optimizer_hyperparams['lr']:g}",
            over_seeds([r.test_losses[-1] for r in runs]),
            over_seeds([r.test_accuracies[-1] for r in runs if r.test_accuracies]),
            f"{statistics.mean(sum(r.train_seconds) + sum(r.eval_seconds) for r in runs):.0f} s",
        )
    return table


def over_seeds(values: list[float | None]) -> str:
    measured = [value for value in values if value is not None]
    if not measured:
        return "-"
    return f"{statistics.mean(measured):.4g} ± {statistics.stdev(measured):.1g}"


if __name__ == "__main__":
    main()
