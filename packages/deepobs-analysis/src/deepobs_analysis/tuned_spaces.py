"""Where in the space that was searched the chosen value of a hyperparameter is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deepobs.checks import is_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_analysis.tuning_records import TuningRecord

# A continuous sampler never draws the very end of a space; a grid, and a list of values, has it.
_NEAR_AN_END = 0.05
_AT_AN_END = 1e-9


def end_of_space(tuning: TuningRecord, name: str) -> str:
    """The end of the space where the chosen value is: "lower", "upper" or neither."""
    chosen = None if tuning.best is None else tuning.best.setting.get(name)
    space = tuning.protocol["space"][name]
    ends = _ends(space)
    if not is_number(chosen) or ends is None:
        return ""
    low, high, scale = ends
    # Values of an edited file may lie outside, where a logarithm may not exist.
    inside = min(max(float(chosen), low), high)
    share = (scale(inside) - scale(low)) / (scale(high) - scale(low))
    has_ends = isinstance(space, list) or tuning.protocol.get("sampler") == "grid"
    near = _AT_AN_END if has_ends else _NEAR_AN_END
    if share <= near:
        return "lower"
    return "upper" if share >= 1 - near else ""


def _ends(space: object) -> tuple[float, float, Callable[[float], float]] | None:
    """The lowest and the highest value of a space, and the scale on which it is even."""
    if isinstance(space, list):
        numbers = [float(value) for value in space if is_number(value)]
        is_ordered = len(numbers) == len(space) and len(set(numbers)) > 1
        return (min(numbers), max(numbers), float) if is_ordered else None
    kind, *ends = str(space).split(":")
    try:
        low, high = float(ends[0]), float(ends[1])
    except (IndexError, ValueError):
        return None
    if not low < high or ("log" in kind and low <= 0):
        return None
    if kind == "one-minus-log":
        return 1 - high, 1 - low, lambda value: -math.log(1 - value)
    return low, high, math.log if kind == "log" else float
