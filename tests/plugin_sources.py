"""Source code of plugins, for tests that install one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Install = Callable[..., Path]
"""The fixture `install`: writes a distribution and answers with the directory it lies in."""

PREAMBLE = """
from deepobs.plugins import DatasetSpec, ProblemSpec, RunnerSpec, SuiteSpec, hookimpl

DEEPOBS_API_VERSION = 1

def problem(name, target="deepobs.problems.synthetic:QuadraticDeep"):
    return ProblemSpec(
        name=name, target=target, summary="Ours", dataset="quadratic", batch_size=8, epochs=1
    )
"""
"""What every plugin begins with, and a short way to describe a problem."""


def offering(*problems: str) -> str:
    """A valid plugin that offers test problems of these names."""
    listed = ", ".join(f"problem({name!r})" for name in problems)
    return f"{PREAMBLE}\n@hookimpl\ndef deepobs_problems():\n    return [{listed}]\n"
