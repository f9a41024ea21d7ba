"""Work that several checks share, done once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from deepobs.testing.carrying_out import described
from deepobs.testing.time_limit import TimeLimitReached
from deepobs.testing.verdicts import CheckFailedError, skip

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")


class Memo:
    """Remembers results by name, and why there is none.

    What fails in the check that is about it is no news in others: they are skipped.
    """

    def __init__(self) -> None:
        self._results: dict[str, Any] = {}
        self._failures: dict[str, str] = {}

    def __call__(self, name: str, make: Callable[[], ResultT]) -> ResultT:
        """The result of this name.

        Args:
            name: The check that fails where it cannot be made.
            make: Makes it, the first time.

        Raises:
            CheckSkippedError: It could not be made before.
        """
        if name in self._failures:
            skip(f"{self._failures[name]} (see {name})")
        if name not in self._results:
            try:
                self._results[name] = make()
            except TimeLimitReached:
                self._failures[name] = "It takes too long"
                raise
            except CheckFailedError as failure:
                self._failures[name] = failure.reason.rstrip(".")
                raise
            except (Exception, SystemExit, GeneratorExit) as error:
                self._failures[name] = described(error)
                raise
        result: ResultT = self._results[name]
        return result
