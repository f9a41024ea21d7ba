"""Work that several checks share, done once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from deepobs_testing.carrying_out import described
from deepobs_testing.time_limit import TimeLimitReached
from deepobs_testing.verdicts import CheckFailedError, CheckSkippedError, skip

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")


class Memo:
    """Remembers results by name, and why there is none.

    What fails in the check that is about it is no news in others: they are skipped.
    """

    def __init__(self) -> None:
        self._results: dict[tuple[str, str], Any] = {}
        self._skips: dict[tuple[str, str], str] = {}
        self._failures: dict[tuple[str, str], str] = {}

    def __call__(self, check: str, make: Callable[[], ResultT], what: str = "") -> ResultT:
        """A result that was made before, or is made now.

        Args:
            check: The check that fails where it cannot be made.
            make: Makes it, the first time.
            what: Tells apart the results of one check.

        Raises:
            CheckSkippedError: It could not be made before.
        """
        name = (check, what)
        if name in self._failures:
            skip(f"{self._failures[name]} (see {check})")
        if name in self._skips:
            skip(self._skips[name])
        if name not in self._results:
            try:
                self._results[name] = make()
            except TimeLimitReached:
                self._failures[name] = "It takes too long"
                raise
            except CheckSkippedError as skipped:
                self._skips[name] = str(skipped)
                raise
            except CheckFailedError as failure:
                self._failures[name] = failure.reason.rstrip(".")
                raise
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._failures[name] = described(error)
                raise
        result: ResultT = self._results[name]
        return result

    def forget(self, check: str, what: str = "") -> None:
        """Let a result be made again when it is asked for."""
        self._results.pop((check, what), None)
