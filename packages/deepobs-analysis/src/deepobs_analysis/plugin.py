"""What deepobs-analysis offers: a row for every command and every plot."""

from __future__ import annotations

from deepobs.plugins import API_VERSION, CommandSpec, PlotSpec, hookimpl

DEEPOBS_API_VERSION = API_VERSION


@hookimpl
def deepobs_commands() -> list[CommandSpec]:
    """The commands that read results."""
    return []


@hookimpl
def deepobs_plots() -> list[PlotSpec]:
    """The figures."""
    return []
