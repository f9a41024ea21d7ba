"""Benchmark three optimizers on two test problems with three seeds, without downloads.

Run it as `python examples/quickstart.py`. It needs deepobs-core, deepobs-vision and
deepobs-analysis, takes less than two minutes on two cores, and writes a result file for every run
and a report to `results/quickstart`.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from deepobs.runs import run, specify
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
COLUMNS = ("problem", "optimizer", "loss", "accuracy", "epochs", "configuration")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/quickstart"))
    output_dir = parser.parse_args().out
    if find_spec("deepobs_analysis") is None:
        parser.exit(2, "The report requires deepobs-analysis: pip install deepobs-analysis\n")
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
        for specification in specifications:
            run(specification, output_dir=output_dir, observers=observers)
    show(output_dir)


def show(output_dir: Path) -> None:
    """Print a table of all results, and write the report."""
    from deepobs_analysis import load
    from deepobs_analysis.output import write_output
    from deepobs_analysis.report import report
    from deepobs_analysis.summaries import summarize
    from deepobs_analysis.table_columns import columns_called
    from deepobs_analysis.table_formats import as_text

    results = load(output_dir)
    print(f"After training: mean ± deviation of {len(SEEDS)} seeds\n")
    print("\n".join(as_text(columns_called(COLUMNS), summarize(results))))
    write_output(output_dir / "report.html", report(results, title="DeepOBS quickstart"))
    print(f"\n{len(results.runs)} result files are in {output_dir}.")
    print(f"Open the report in a browser: {output_dir / 'report.html'}")


if __name__ == "__main__":
    main()
