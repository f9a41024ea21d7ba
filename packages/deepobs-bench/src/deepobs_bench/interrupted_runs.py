"""Runs that left checkpoints when they were interrupted, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.console.text import counted
from deepobs.runs.checkpoints import place_in_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification

_MAX_LISTED = 5


def interrupted(pending: Iterable[RunSpecification], output_dir: Path) -> list[str]:
    """Describe the runs that have checkpoints: "SGD on digits_mlp, seed 42, in epoch 58 of 100".

    Args:
        pending: Runs without a result.
        output_dir: The directory of results.
    """
    places = ((each, place_in_checkpoint(output_dir, each)) for each in pending)
    return [
        f"{each.label or each.optimizer} on {each.testproblem}, seed {each.random_seed}, {place}"
        for each, place in places
        if place
    ]


def with_checkpoints(runs: Sequence[str], *, resumes: bool) -> str:
    """Say what becomes of interrupted runs; empty if there are none.

    Args:
        runs: From `interrupted`.
        resumes: Whether the command continues from checkpoints.
    """
    if not runs:
        return ""
    listed = "; ".join(runs[:_MAX_LISTED])
    if len(runs) > _MAX_LISTED:
        listed += f"; and {len(runs) - _MAX_LISTED} others"
    count = counted(len(runs), "run")
    if resumes:
        return f"Continued from checkpoints: {count}, {listed}."
    return f"Restarted in spite of checkpoints: {count}, {listed}. Add --resume to continue them."
