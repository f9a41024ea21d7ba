"""Executing a check on code that may do anything: raise, exit, or never return."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs.errors import text_of
from deepobs_testing._report import CheckFailedError, CheckResult, CheckSkippedError, skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from deepobs_testing._checks import Check
    from deepobs_testing._report import Outcome

ResultT = TypeVar("ResultT")

# Modules that call the code under examination, where its error is not to be looked for.
_CALLERS = ("deepobs_testing", "torch", "contextlib", "threading")


def execute(check: Check, subject: Any, seconds: float) -> CheckResult:
    """Execute a check within a time limit, and restore process settings and RNGs afterwards."""
    from deepobs_testing._process import isolated  # imports torch

    started = time.perf_counter()
    with isolated():
        outcome, reason, remedy = _verdict(check.load(), subject, seconds)
    return CheckResult(check.name, outcome, reason, remedy, time.perf_counter() - started)


def _verdict(
    function: Callable[[Any], str | None], subject: Any, seconds: float
) -> tuple[Outcome, str, str]:
    try:
        with time_limit(seconds):
            remark = function(subject)
    except CheckFailedError as failure:
        return "failed", _one_line(failure.reason), failure.remedy
    except CheckSkippedError as skipped:
        return "skipped", str(skipped), ""
    except TimeLimitReached:
        reason = f"The check was interrupted after {seconds:g} s."
        return "failed", reason, "Look for an endless loop, or raise the limit (check_seconds)."
    except KeyboardInterrupt:
        raise
    # sys.exit() in third-party code must not end the examination.
    except BaseException as error:
        return "failed", f"{summary_of(error)}.", _place_of(error)
    return "passed", remark or "", ""


def summary_of(error: BaseException) -> str:
    """The type and message of an error in one line."""
    text = _one_line(text_of(error))
    if isinstance(error, SystemExit):
        return f"It calls sys.exit({text})"
    return f"{type(error).__name__}: {text}".rstrip(":. ")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _place_of(error: BaseException) -> str:
    """Where to look: the innermost line that is neither ours nor torch's."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if not frame.f_globals.get("__name__", "").startswith(_CALLERS):
            return f"It is raised in {frame.f_code.co_filename}, line {line}."
    return "It is raised by torch or by the check itself, which calls it as the protocol says."


class TimeLimitReached(BaseException):
    """The time limit was reached; no `except Exception` of the interrupted code catches it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeLimitReached` in code that takes longer, in the main thread of POSIX systems."""
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not (is_main_thread and hasattr(signal, "setitimer")):
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise TimeLimitReached

    handler = signal.signal(signal.SIGALRM, interrupt)
    # A process has one timer: that of an enclosing limit is stopped here, and goes off late if it
    # should have gone off meanwhile.
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    started = time.monotonic()
    try:
        yield
    finally:
        # The timer before the handler: a signal in between would end the process.
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if remaining:
            rest = remaining - (time.monotonic() - started)
            # 0 would disarm the timer, and the enclosing limit would never be enforced.
            signal.setitimer(signal.ITIMER_REAL, max(rest, 1e-3), interval)


class Memo:
    """Results that several checks share, and the reasons why there are none.

    What fails in the check that is responsible for it is skipped in others, so that one mistake is
    reported once.
    """

    def __init__(self) -> None:
        self._results: dict[tuple[str, str], Any] = {}
        self._skips: dict[tuple[str, str], str] = {}

    def __call__(self, check: str, make: Callable[[], ResultT], what: str = "") -> ResultT:
        """Return a result, which is made at the first call.

        Args:
            check: The check that is responsible: it fails if the result cannot be made.
            make: Makes the result.
            what: Distinguishes the results of one check.
        """
        key = (check, what)
        if key in self._skips:
            skip(self._skips[key])
        if key not in self._results:
            try:
                self._results[key] = make()
            except KeyboardInterrupt:
                raise
            # Also of sys.exit() and time limits, which would cost as much in every other check.
            except BaseException as error:
                if isinstance(error, CheckSkippedError):
                    self._skips[key] = str(error)
                else:
                    self._skips[key] = f"{_reason_of(error)} (see {check})"
                raise
        result: ResultT = self._results[key]
        return result

    def forget(self, check: str, what: str = "") -> None:
        """Drop a result, to be made again when it is needed."""
        self._results.pop((check, what), None)


def _reason_of(error: BaseException) -> str:
    if isinstance(error, TimeLimitReached):
        return "It takes too long"
    return error.reason.rstrip(".") if isinstance(error, CheckFailedError) else summary_of(error)
