"""What became of checks: one result each, and a report of all on one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deepobs.errors import DeepOBSError

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of one check.

    Attributes:
        check: Name of the check.
        outcome: "passed", "failed" or "skipped".
        reason: What is wrong, with which value, and what is expected; or why it was skipped. Empty
            where it passed.
        remedy: How to mend it, empty where it did not fail.
        seconds: How long it took.
    """

    check: str
    outcome: Outcome
    reason: str = ""
    remedy: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all checks of one thing.

    Attributes:
        name: What was checked.
        kind: "test problem", "data set" or "optimizer".
        results: One for each check, in the order in which they were made.
    """

    name: str
    kind: str
    results: tuple[CheckResult, ...]

    def having(self, outcome: Outcome) -> list[CheckResult]:
        """The results with this outcome."""
        return [result for result in self.results if result.outcome == outcome]

    @property
    def failures(self) -> list[CheckResult]:
        """The checks that failed."""
        return self.having("failed")

    def __getitem__(self, check: str) -> CheckResult:
        """The result of the check of this name."""
        for result in self.results:
            if result.check == check:
                return result
        raise KeyError(check)


class ConformanceError(DeepOBSError, AssertionError):
    """A test problem, data set or optimizer does not behave as it must.

    Args:
        report: What became of all checks; those that failed make the message.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        failures = report.failures
        lines = [
            f"  {failure.check}: {failure.reason} {failure.remedy}".rstrip() for failure in failures
        ]
        total = f"{len(failures)} of {len(report.results)} checks"
        super().__init__("\n".join([f"The {report.kind} {report.name} fails {total}.", *lines]))
