"""What deepobs-bench offers: its commands, and the executors that runs are handed to."""

from __future__ import annotations

from deepobs.plugins import API_VERSION, CommandSpec, ExecutorSpec, hookimpl

DEEPOBS_API_VERSION = API_VERSION


@hookimpl
def deepobs_commands() -> list[CommandSpec]:
    """The commands that execute many runs."""
    return [
        CommandSpec(
            name="bench",
            target="deepobs_bench.cli.bench:command",
            summary="Execute the runs that an experiment file describes, and show a table",
        ),
        CommandSpec(
            name="tune",
            target="deepobs_bench.cli.tune:command",
            summary="Find good hyperparameters, honestly chosen and reported",
        ),
    ]


@hookimpl
def deepobs_executors() -> list[ExecutorSpec]:
    """The ways to execute many runs."""
    return [
        ExecutorSpec(
            name="processes",
            target="deepobs_bench.executors:processes",
            summary="Processes on this machine, each of which can crash without harm to others",
        ),
        ExecutorSpec(
            name="dask",
            target="deepobs_bench.executors:dask",
            summary="The workers of a Dask cluster, found by --scheduler ADDRESS",
        ),
        ExecutorSpec(
            name="serial",
            target="deepobs_bench.executors:SerialExecutor",
            summary="One run after the other, in the process of the command itself",
        ),
    ]
