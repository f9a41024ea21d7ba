"""What holds for the descriptions of all kinds of things."""

from __future__ import annotations

from typing import Any

from deepobs_testing.verdicts import require


def require_summary(spec: Any, remedy: str) -> None:
    """Let the check fail unless `deepobs list` has something to show.

    Args:
        spec: The description.
        remedy: What to write.
    """
    require(
        bool(spec.summary.strip()),
        f"The summary is {spec.summary!r}, but `deepobs list` shows it beside the name.",
        remedy,
    )


def require_callable(spec: Any, factory: Any) -> None:
    """Let the check fail unless the import string leads to something that can be called.

    Args:
        spec: The description.
        factory: What it leads to.
    """
    require(
        callable(factory),
        f"The target {spec.target!r} is {factory!r}, which is no class.",
        "Let the target be package.module:Class.",
    )
