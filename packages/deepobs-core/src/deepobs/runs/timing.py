"""Timing work that comes in equal units, such as steps or batches."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from deepobs.runs.training import STEPS_BETWEEN_REPORTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Work = Callable[[int], object]
    """Does so many units of something."""

_LONGEST_BLOCK = STEPS_BETWEEN_REPORTS
"""A block waits for the device once, at its end, as runs do: no more often, and no less."""

_BLOCK_SECONDS = 0.1
"""How long a block should take: so short that a machine that drifts drifts for all rivals."""

_WARM_UP_UNITS = 3
_LEAST_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Spread:
    """The mean of measured values, which adds up, and their middle, which a few do not move.

    Attributes:
        mean: What many of them take, divided by their number.
        median: Half of the values are below.
        low: A quarter of the values is below.
        high: A quarter of the values is above.
    """

    mean: float
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Summarise two or more values."""
        measured = list(values)
        low, median, high = statistics.quantiles(measured, n=4, method="inclusive")
        return cls(mean=statistics.fmean(measured), median=median, low=low, high=high)


@dataclass(frozen=True, slots=True)
class Timings:
    """How long rivals took that worked in turn.

    Attributes:
        units_per_block: Units that each did before it was the next one's turn.
        rounds: Seconds a unit, in every round an entry for each rival.
    """

    units_per_block: int
    rounds: tuple[tuple[float, ...], ...]

    @property
    def units(self) -> int:
        """Units that each of the rivals did."""
        return self.units_per_block * len(self.rounds)

    def seconds(self, rival: int = 0) -> Spread:
        """Seconds a unit.

        Args:
            rival: Whose, by position.
        """
        return Spread.of(taken[rival] for taken in self.rounds)

    def ratio(self, rival: int, reference: int) -> Spread:
        """How many times as long one takes as the other, round by round.

        Args:
            rival: By position.
            reference: By position.
        """
        return Spread.of(taken[rival] / taken[reference] for taken in self.rounds)


def time_in_turn(rivals: Sequence[Work], *, seconds: float, device: torch.device) -> Timings:
    """Time rivals block by block, in the order A B, B A, A B, ... so that none is favoured.

    Args:
        rivals: What to time; each is called a few times before, so that allocators and kernels
            settle.
        seconds: Start no further round once so much time has passed; a few units are always timed.
        device: Where the work is done.
    """
    deadline = time.perf_counter() + seconds
    slowest = max(_warmed_up(rival, deadline, device) for rival in rivals)
    units = min(max(1, round(_BLOCK_SECONDS / slowest)), _LONGEST_BLOCK)
    rounds: list[tuple[float, ...]] = []
    while len(rounds) < _LEAST_ROUNDS or time.perf_counter() < deadline:
        taken = [0.0] * len(rivals)
        positions = range(len(rivals))
        for position in reversed(positions) if len(rounds) % 2 else positions:
            taken[position] = seconds_of(rivals[position], units, device) / units
        rounds.append(tuple(taken))
    return Timings(units, tuple(rounds))


def seconds_of(work: Work, units: int, device: torch.device) -> float:
    """Time so many units, until the device has done them."""
    synchronize(device)
    start = time.perf_counter()
    work(units)
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was asked to do."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _warmed_up(work: Work, deadline: float, device: torch.device) -> float:
    """Do one unit after the other; the shortest time that one took, in seconds."""
    taken = []
    for number in itertools.count(1):
        taken.append(seconds_of(work, 1, device))
        # What is slow has settled after the first unit, and more would not fit into the time.
        if number == _WARM_UP_UNITS or time.perf_counter() > deadline:
            break
    return min(taken)
