"""Load results, select configurations, compute measures, and create a table and a figure.

Run it as `python examples/result_analysis.py`: it takes about fifteen seconds, mostly to create
example results, and needs deepobs-core, deepobs-vision and deepobs-analysis. Results are stored in
`results/result_analysis`; set `OUTPUT_DIR` to analyze yours, including those of DeepOBS 1.1.
"""

from __future__ import annotations

from pathlib import Path

from deepobs.runs import run, specify
from deepobs_analysis import load, select
from deepobs_analysis.measures import epochs_to_target, mean_and_deviation, mean_time
from deepobs_analysis.plots.tuning_curves import sensitivity
from deepobs_analysis.summaries import as_frame, summarize

OUTPUT_DIR = Path("results/result_analysis")
GRID = {"SGD": (0.01, 0.1, 1.0), "Adam": (1e-3, 1e-2, 1e-1)}
TARGET = 0.9


def make_results() -> None:
    """Train with three learning rates and two seeds each, unless the results exist."""
    for optimizer, learning_rates in GRID.items():
        for lr in learning_rates:
            for seed in (42, 43):
                run(
                    specify("digits_logreg", optimizer, {"lr": lr}, num_epochs=4, random_seed=seed),
                    output_dir=OUTPUT_DIR,
                )


def main() -> None:
    make_results()
    results = load(OUTPUT_DIR)  # results.runs is a pandas DataFrame with one row per run
    print(f"{len(results.runs)} runs of {', '.join(results.optimizers)}\n")
    for chosen in select(results, mode="final"):  # the best configuration of each optimizer
        accuracy = mean_and_deviation(chosen.final())
        curves = chosen.curves("test")  # (seeds, epochs + 1)
        times = [epochs_to_target(curve, TARGET, higher_is_better=True) for curve in curves]
        tried = f"best of {chosen.configurations} configurations"
        print(f"{chosen.optimizer}, {tried}: {chosen.configuration}")
        print(f"  test accuracy {accuracy.mean:.3f} ± {accuracy.deviation:.3f}")
        print(f"  epochs to {TARGET:.0%}: {mean_time(times).mean:.1f}")
    table = as_frame(summarize(results))  # all columns of `deepobs table`, for pandas
    table.to_csv(OUTPUT_DIR / "table.csv", index=False)
    sensitivity(results).savefig(OUTPUT_DIR / "sensitivity.pdf")
    print(f"\nA table and a figure are in {OUTPUT_DIR}: table.csv, sensitivity.pdf")


if __name__ == "__main__":
    main()
