"""Runs: how they are described, executed, measured and stored."""

from deepobs.runs.evaluation import evaluate
from deepobs.runs.execution import RunObserver, RunResult, run
from deepobs.runs.specification import reproduction_command, specify

__all__ = [
    "RunObserver",
    "RunResult",
    "evaluate",
    "reproduction_command",
    "run",
    "specify",
]
