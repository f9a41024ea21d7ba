"""Which values of a grid are to blame for the settings that an optimizer refuses."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Refusal:
    """A point of a grid that was refused.

    Attributes:
        positions: The position of its value on each axis.
        message: Why.
    """

    positions: tuple[int, ...]
    message: str


def blamed(
    refusals: Sequence[Refusal], lengths: Sequence[int]
) -> Iterator[tuple[tuple[int, int] | None, str]]:
    """Trace refusals back to values with which every point of the grid is refused.

    Args:
        refusals: The points that were refused.
        lengths: Number of values on each axis.

    Yields:
        The axis and the position of a value and the message of its first refusal. `None` in place
        of the value for what no single one is to blame for.
    """
    if len(refusals) == math.prod(lengths):  # no value helps: the mistake lies elsewhere
        yield None, refusals[0].message
        return
    of_value: dict[tuple[int, int], list[Refusal]] = defaultdict(list)
    for refusal in refusals:
        for axis, position in enumerate(refusal.positions):
            of_value[axis, position].append(refusal)
    points_of_value = [math.prod(lengths) // length for length in lengths]
    explained: set[Refusal] = set()
    for (axis, position), those in of_value.items():
        if len(those) == points_of_value[axis]:
            yield (axis, position), those[0].message
            explained.update(those)
    yield from ((None, refusal.message) for refusal in refusals if refusal not in explained)
