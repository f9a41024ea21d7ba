"""What deepobs-bench offers: commands and executor backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.plugins import API_VERSION, CommandSpec, ExecutorSpec, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.records import ExperimentRuns

DEEPOBS_API_VERSION = API_VERSION


@hookimpl
def deepobs_commands() -> list[CommandSpec]:
    """Commands that execute many runs."""
    return [
        CommandSpec(
            name="bench",
            target="deepobs_bench._bench_command:command",
            summary="Execute the runs that an experiment file describes, and show a table",
        ),
        CommandSpec(
            name="tune",
            target="deepobs_bench._tune_command:command",
            summary="Find good hyperparameters, and evaluate them with other seeds",
        ),
    ]


@hookimpl
def deepobs_executors() -> list[ExecutorSpec]:
    """Executor backends."""
    return [
        ExecutorSpec(
            name="processes",
            target="deepobs_bench.executors:processes",
            summary="Processes on this machine; a crash fails one run only",
        ),
        ExecutorSpec(
            name="packed",
            target="deepobs_bench.executors:packed",
            summary="Processes on this machine that train similar runs as one batched model",
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


@hookimpl
def deepobs_experiment_runs(file: Path, output_dir: Path) -> ExperimentRuns | None:
    """The runs of an experiment file as it is now."""
    if file.suffix.lower() not in (".toml", ".yaml", ".yml"):
        return None
    # Imported here, as it comes with torch.
    from deepobs_bench.experiment_runs import experiment_runs

    return experiment_runs(file, output_dir)
