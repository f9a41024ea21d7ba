"""What a plugin says of its optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.testing.verdicts import require

if TYPE_CHECKING:
    from deepobs.testing.optimizers.subject import Subject


def its_summary_says_what_it_is(subject: Subject) -> None:
    """`deepobs list` has something to show."""
    require(
        bool(subject.spec.summary.strip()),
        f"The summary is {subject.spec.summary!r}, but `deepobs list` shows it beside the name.",
        "Write a line that says how it works.",
    )
