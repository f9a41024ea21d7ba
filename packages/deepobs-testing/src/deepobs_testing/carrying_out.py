"""Making one check, whatever the code that it tries does."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any

from deepobs.errors import text_of
from deepobs_testing.results import CheckResult
from deepobs_testing.time_limit import TimeLimitReached, time_limit
from deepobs_testing.verdicts import CheckFailedError, CheckSkippedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_testing.results import Outcome
    from deepobs_testing.tables import Check

_LEADS_THERE = ("deepobs_testing", "torch", "contextlib", "threading")


def carry_out(check: Check, subject: Any, seconds: float) -> CheckResult:
    """Make one check; settings and generators are afterwards as they were.

    Args:
        check: The check.
        subject: What is checked.
        seconds: How long it may take.
    """
    from deepobs_testing.isolation import isolated

    started = time.perf_counter()
    with isolated():
        outcome, reason, remedy = _verdict(check.load(), subject, seconds)
    return CheckResult(check.name, outcome, reason, remedy, time.perf_counter() - started)


def _verdict(
    function: Callable[[Any], None], subject: Any, seconds: float
) -> tuple[Outcome, str, str]:
    try:
        with time_limit(seconds):
            function(subject)
    except CheckFailedError as failure:
        return "failed", _one_line(failure.reason), failure.remedy
    except CheckSkippedError as skipped:
        return "skipped", str(skipped), ""
    except TimeLimitReached:
        reason = f"It was not done after {seconds:g} s and was interrupted."
        return "failed", reason, "Look for a loop without an end, or allow more time."
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's code raises anything
        return "failed", f"{described(error)}.", _place(error)
    return "passed", "", ""


def described(error: BaseException) -> str:
    """An error in one piece of text, whatever a stranger's exception is like."""
    text = _one_line(text_of(error))
    kind = type(error).__name__
    if isinstance(error, SystemExit):
        return f"It calls sys.exit({text})"
    return f"{kind}: {text}".rstrip(":. ")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _place(error: BaseException) -> str:
    """Where to look: the deepest line that is neither ours nor torch's."""
    frames = [
        frame
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if not frame.f_globals.get("__name__", "").startswith(_LEADS_THERE)
    ]
    if not frames:
        return "It is raised by torch or by the check itself, called as the protocol says."
    frame = frames[-1]
    return f"It is raised in {frame.f_code.co_filename}, line {_line(error, frame)}."


def _line(error: BaseException, wanted: Any) -> int:
    return [line for frame, line in traceback.walk_tb(error.__traceback__) if frame is wanted][-1]
