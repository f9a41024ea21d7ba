"""Several optimizers on several test problems, with a table and a figure.

Run it as `python examples/several_problems.py`: it takes about fifteen seconds and needs
deepobs-core, deepobs-vision and deepobs-analysis. Results are stored in `results/several_problems`.
For larger experiments use `deepobs bench`, which executes runs in parallel and resumes after an
interruption.
"""

from __future__ import annotations

from pathlib import Path

from deepobs.plugins import registry
from deepobs.runs import run, specify
from deepobs_analysis import load
from deepobs_analysis.plots.curves import performance
from deepobs_analysis.summaries import summarize
from deepobs_analysis.table_columns import columns_called
from deepobs_analysis.table_formats import as_text

OUTPUT_DIR = Path("results/several_problems")
SEEDS = (42, 43)
LEARNING_RATES = {  # for tuning, see docs/guides/tuning.md
    "quadratic_deep": {"SGD": 1e-2, "Adam": 3e-2},
    "digits_logreg": {"SGD": 1.0, "Adam": 3e-2},
    "two_d": {"SGD": 1e-6, "Adam": 0.1},  # a suite: a named set of problems
}


def main() -> None:
    for name, learning_rates in LEARNING_RATES.items():
        suites = registry().suites
        problems = suites.offer(name).spec.problems if name in suites.names() else [name]
        for problem in problems:
            for optimizer, lr in learning_rates.items():
                for seed in SEEDS:
                    specification = specify(
                        problem, optimizer, {"lr": lr}, num_epochs=2, random_seed=seed
                    )
                    run(specification, output_dir=OUTPUT_DIR)
    show()


def show() -> None:
    """Print a table and draw the curves of all problems."""
    results = load(OUTPUT_DIR)
    columns = columns_called(("problem", "optimizer", "final", "seeds", "configuration"))
    print("\n".join(as_text(columns, summarize(results))))
    performance(results).savefig(OUTPUT_DIR / "curves.pdf")
    print(f"\nThe curves are in {OUTPUT_DIR / 'curves.pdf'}.")


if __name__ == "__main__":
    main()
