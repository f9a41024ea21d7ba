"""Results of checks, and the exceptions by which a check fails or is skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn

from deepobs.errors import DeepOBSError

if TYPE_CHECKING:
    from collections.abc import Mapping

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        check: Name of the check.
        outcome: "passed", "failed" or "skipped".
        reason: What is wrong, the value, and what is expected; or why the check was skipped; or
            what it found, if it passed and found something.
        remedy: How to fix it; empty unless the check failed.
        seconds: Duration of the check.
    """

    check: str
    outcome: Outcome
    reason: str = ""
    remedy: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all checks of one target.

    Attributes:
        name: What was checked.
        kind: "test problem", "data set" or "optimizer".
        results: One for each check, in order of execution.
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
    """A test problem, data set or optimizer fails checks; the message lists each failure.

    Args:
        report: The results of all checks.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        failures = report.failures
        lines = [f"  {f.check}: {f.reason} {f.remedy}".rstrip() for f in failures]
        total = f"{len(failures)} of {len(report.results)} checks"
        super().__init__("\n".join([f"The {report.kind} {report.name} fails {total}.", *lines]))


class CheckFailedError(Exception):
    """A check found something wrong.

    Args:
        reason: What is wrong, the value, and what is expected.
        remedy: How to fix it.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class CheckSkippedError(Exception):
    """A check does not apply; the message says why."""


def require(fulfilled: bool, reason: str, remedy: str) -> None:
    """Fail the check unless a condition holds; for the arguments see `CheckFailedError`."""
    if not fulfilled:
        raise CheckFailedError(reason, remedy)


def skip(reason: str) -> NoReturn:
    """Skip the rest of the check."""
    raise CheckSkippedError(reason)


def keywords(arguments: Mapping[str, object]) -> str:
    """Keyword arguments in messages: `batch_size=4, device='cpu'`."""
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
