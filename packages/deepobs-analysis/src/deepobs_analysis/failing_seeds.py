"""Which seeds of a configuration fail: a mean over failing and other seeds describes neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepobs_analysis.measures.arrays import ROUNDED_DEVIATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.selection import Selection

# Fewer seeds fall into two groups by chance; a smaller gap, as a multiple of the spread within
# either group, is that of a skewed distribution; a smaller loss, as a share of what training
# gained, is of no consequence.
_FEWEST_TO_SPLIT, _GAP, _LOSS = 5, 10, 0.02
_LEAST_GAIN = 0.5


def failing(selection: Selection) -> NDArray[np.bool_]:
    """Which seeds of a configuration fail.

    A seed fails if it diverged, if training gained less than half of what it gained for the best
    seed, or if it is in the worse of `two_groups` and that loses 2 % of what training gained.

    Returns:
        Shape (seeds,).
    """
    sign = 1 if selection.metric.higher_is_better else -1
    gains = sign * (selection.final() - selection.curves()[:, 0].mean())
    has_failed = selection.rows["has_diverged"]
    if gains.max() > 0:
        has_failed = has_failed | (gains < _LEAST_GAIN * gains.max())
    groups = two_groups(gains, resolution=selection.resolution())
    if groups is not None:
        bad, good = (float(np.median(group)) for group in groups)
        if good - bad >= _LOSS * abs(good):
            has_failed = has_failed | (gains <= groups[0][-1])
    return has_failed


def two_groups(values: Floats, *, resolution: float = 0.0) -> tuple[Floats, Floats] | None:
    """Split seeds that fall into two groups.

    Args:
        values: The performance of each seed, shape (seeds,).
        resolution: The step from one possible value to the next; 0 if there is none.

    Returns:
        The lower and the higher ones, if the gap between them is more than ten times the standard
        deviation within either, and there are five seeds or more; else `None`.
    """
    in_order = np.sort(values)
    if len(in_order) < _FEWEST_TO_SPLIT:
        return None
    gaps = np.diff(in_order)
    place = int(gaps.argmax()) + 1
    low, high = in_order[:place], in_order[place:]
    # Against the spread within the groups: compared with the spread of all seeds, a wide gap would
    # hide itself, as it makes that spread wide, too.
    # Equal accuracies do not mean that seeds do not vary: see `Selection.resolution`.
    within = max(low.std(), high.std(), resolution * ROUNDED_DEVIATION)
    return (low, high) if gaps[place - 1] > max(_GAP * within, 0) else None
