"""Runs: how they are described, executed, measured and stored."""

from deepobs.runs.execution import RunResult, run
from deepobs.runs.observers import RunObserver
from deepobs.runs.specification import reproduction_command, specify

__all__ = [
    "RunObserver",
    "RunResult",
    "reproduction_command",
    "run",
    "specify",
]
