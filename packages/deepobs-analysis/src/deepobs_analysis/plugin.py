"""What deepobs-analysis registers: its commands and its plots."""

from __future__ import annotations

from deepobs.plugins import API_VERSION, CommandSpec, PlotSpec, hookimpl

DEEPOBS_API_VERSION = API_VERSION

_COMMANDS = {
    "baselines": "Reference sets to compare with: list, show, verify, get and pack",
    "plot": "Draw a figure of results",
    "table": "Show how each optimizer performed: text, LaTeX, Markdown, HTML or CSV",
    "score": "Compare optimizers over all problems: scores, speedups, intervals",
    "compare": "Compare two optimizers, versions of code or experiments, seed by seed",
    "lr-find": "Find the learning rates between which an optimizer works on a problem",
    "report": "Write a report on results as one page: figures, tables, caveats",
}
_PLOTS = (
    ("curves", "overview", "Test loss and accuracy on every problem over epochs"),
    ("curves", "performance", "Loss and accuracy on training and test set over epochs"),
    ("curves", "gradient_norms", "Norm of the gradient over epochs, where it was recorded"),
    ("times", "time_to_target", "Time of every optimizer to the target of each problem"),
    ("times", "profiles", "Share of problems over the time relative to the fastest"),
    ("comparisons", "ranks", "How often an optimizer is the best, the second, ..."),
    ("comparisons", "comparison", "Probability that one optimizer beats another"),
    ("tuning_curves", "sensitivity", "Test performance over the learning rate"),
    ("heatmaps", "sensitivity_2d", "Test performance over two hyperparameters"),
    ("tuning_curves", "tuning_rank", "Configurations from the best to the worst"),
    ("tuning_curves", "expected_best", "Expected best of a number of configurations"),
    ("trajectories", "trajectories", "Iterates on the functions of two variables"),
)


@hookimpl
def deepobs_commands() -> list[CommandSpec]:
    """The commands that read results."""
    elsewhere = {
        "baselines": "deepobs_analysis.baseline_commands:command",
        "compare": "deepobs_analysis.compare_command:command",
        "lr-find": "deepobs_analysis.lr_find_command:command",
    }
    return [
        CommandSpec(
            name=name,
            target=elsewhere.get(name, f"deepobs_analysis.commands:{name}"),
            summary=summary,
        )
        for name, summary in _COMMANDS.items()
    ]


@hookimpl
def deepobs_plots() -> list[PlotSpec]:
    """The figures, in the order in which a report shows them."""
    return [
        PlotSpec(name=name, target=f"deepobs_analysis.plots.{module}:{name}", summary=summary)
        for module, name, summary in _PLOTS
    ]
