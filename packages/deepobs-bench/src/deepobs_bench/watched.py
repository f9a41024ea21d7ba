"""A sweep that tells what becomes of its runs as it happens, and that can run out of time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from deepobs.errors import DeepOBSError
from deepobs_bench.inventory import take_inventory
from deepobs_bench.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Executor

    from deepobs.records import RunSpecification
    from deepobs.runs import RunObserver
    from deepobs_bench.outcomes import Outcome


class BudgetSpentError(DeepOBSError):
    """The time is up, and there are still runs to carry out."""


class Watcher(Protocol):
    """Who wants to know how runs end."""

    def run_ended(
        self, specification: RunSpecification, outcome: Outcome, *, was_there: bool
    ) -> None:
        """Take note of an outcome.

        Args:
            specification: The run.
            outcome: What became of it.
            was_there: Whether its result was there before.
        """


class WatchedSweep(Sweep):
    """A sweep that tells a watcher of every outcome, whoever asked for the runs.

    Args:
        executor: See `Sweep`.
        watcher: Whom to tell.
        seconds: How long from now on further runs are started; `None` for no limit.
        **options: See `Sweep`.
    """

    def __init__(
        self, executor: Executor, watcher: Watcher, *, seconds: float | None = None, **options: Any
    ) -> None:
        super().__init__(executor, **options)
        self._watcher = watcher
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def carry_out(
        self, specifications: Iterable[RunSpecification], *, observers: Sequence[RunObserver] = ()
    ) -> Iterator[tuple[RunSpecification, Outcome]]:
        """Carry out runs as `Sweep` does.

        Raises:
            BudgetSpentError: There is more to do, but no time left.
        """
        wanted = list(specifications)
        missing = take_inventory(wanted, self.output_dir).missing
        for specification, outcome in super().carry_out(wanted, observers=observers):
            was_there = missing.pop(specification.run_id, None) is None
            self._watcher.run_ended(specification, outcome, was_there=was_there)
            yield specification, outcome
            if missing and not was_there and self._is_late():
                raise BudgetSpentError("The time is up.")

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline
