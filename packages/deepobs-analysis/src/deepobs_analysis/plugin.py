"""What deepobs-analysis offers: a row for every command and every plot."""

from __future__ import annotations

from deepobs.plugins import API_VERSION, CommandSpec, PlotSpec, hookimpl

DEEPOBS_API_VERSION = API_VERSION


@hookimpl
def deepobs_commands() -> list[CommandSpec]:
    """The commands that read results."""
    return [
        CommandSpec(
            name="baselines",
            target="deepobs_analysis.cli.baselines:command",
            summary="Get and show published results to compare with",
        ),
        CommandSpec(
            name="plot",
            target="deepobs_analysis.cli.plot:command",
            summary="Draw a figure for the paper",
        ),
        CommandSpec(
            name="table",
            target="deepobs_analysis.cli.table:command",
            summary="Show how each optimizer did: a table for the screen, LaTeX, Markdown or CSV",
        ),
        CommandSpec(
            name="score",
            target="deepobs_analysis.cli.score:command",
            summary="Compare optimizers over all problems: scores, speedups, intervals",
        ),
        CommandSpec(
            name="report",
            target="deepobs_analysis.cli.report:command",
            summary="Write all about some results into one page: figures, tables, warnings",
        ),
    ]


@hookimpl
def deepobs_plots() -> list[PlotSpec]:
    """The figures, in the order in which a report shows them."""
    return [
        _plot("overview", "Test loss and accuracy on every problem over epochs"),
        _plot("performance", "Loss and accuracy on training and test set over epochs"),
        _plot("time_to_target", "How long every optimizer takes to the target of each problem"),
        _plot("profiles", "Share of problems over the time relative to the fastest (AlgoPerf)"),
        _plot("ranks", "How often an optimizer is the best, the second, ..."),
        _plot("comparison", "How probable it is that one optimizer beats another"),
        _plot("sensitivity", "Test performance of all settings over the learning rate"),
        _plot("sensitivity_2d", "Test performance of all settings over two hyperparameters"),
        _plot("tuning_rank", "Test performance from the best setting to the worst"),
        _plot("expected_best", "What to expect of the best of a number of settings"),
        _plot("trajectories", "Paths over the functions of two variables"),
    ]


def _plot(name: str, summary: str) -> PlotSpec:
    """A function that is named like its module."""
    return PlotSpec(name=name, summary=summary, target=f"deepobs_analysis.plots.{name}:{name}")
