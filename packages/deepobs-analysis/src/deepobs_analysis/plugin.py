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
    ]


@hookimpl
def deepobs_plots() -> list[PlotSpec]:
    """The figures."""
    return []
