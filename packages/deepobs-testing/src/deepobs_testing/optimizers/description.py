"""What a plugin says of its optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs_testing.descriptions import require_summary

if TYPE_CHECKING:
    from deepobs_testing.optimizers.subject import Subject


def its_summary_says_what_it_is(subject: Subject) -> None:
    """`deepobs list` has something to show."""
    require_summary(subject.spec, "Write a line that says how it works.")
