"""What a step of an optimizer costs beside one of SGD, where both were measured alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from deepobs_analysis.measures import relative_step_time

if TYPE_CHECKING:
    import pandas as pd

    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.selection import Selection

BASE = "SGD"
"""The optimizer that the others are compared with."""

_MEASURED = (
    *("train_seconds", "steps_per_epoch", "batch_size", "device"),
    *("hardware", "versions", "has_diverged"),
)


def step_time_beside_sgd(selection: Selection, of_problem: pd.DataFrame) -> float | None:
    """How many times as long a step takes as one of SGD on the same problem.

    Args:
        selection: The setting.
        of_problem: All runs on its problem.

    Returns:
        `None` where the two were not measured with the same batch size, device, hardware and
        versions. Where they were on several, those of which there are the most runs count.
    """
    own = _by_circumstances(selection.runs)
    base = _by_circumstances(of_problem[of_problem["optimizer"] == BASE])
    shared = [key for key in own if key in base]
    if not shared:
        return None
    key = max(shared, key=lambda each: len(own[each]))
    times, base_times = np.concatenate(own[key]), np.concatenate(base[key])
    return relative_step_time(times, 1, base_times, 1)


def _by_circumstances(runs: pd.DataFrame) -> dict[str, list[Floats]]:
    """Seconds per step in each epoch of each run, by what they depend on besides the optimizer."""
    found: dict[str, list[Floats]] = {}
    for seconds, steps, *circumstances, has_diverged in zip(
        *(runs[name] for name in _MEASURED), strict=True
    ):
        is_measured = seconds is not None and len(seconds) and np.all(seconds > 0)
        if is_measured and steps > 0 and circumstances[1] and not has_diverged:
            key = json.dumps(circumstances, sort_keys=True)
            found.setdefault(key, []).append(seconds / steps)
    return found
