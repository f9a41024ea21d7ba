"""Scores that compare between problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.checking import Floats, ordered

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def normalized(
    values: ArrayLike, *, untrained: float, target: float, higher_is_better: bool
) -> Floats:
    """Performances as the share of the way from the untrained model to the target.

        (value - untrained) / (target - untrained)

    Whether accuracies or losses, a score is better the higher it is. It is not cut off: worse than
    untrained is below 0, better than the target above 1.

    Args:
        values: Performances on one problem, any shape with at least one dimension. Infinitely bad
            ones, of runs that diverged, become -inf.
        untrained: The performance before training, finite.
        target: The performance that counts as 1, such as the target or the best one known, finite
            and better than `untrained`.
        higher_is_better: True for accuracies, False for losses.

    Returns:
        Scores of the same shape.

    Raises:
        ArgumentError: There are no values, some are NaN, or the target is not better than the
            untrained model.
    """
    numbers = ordered(values, "values", dimensions=None)
    if not np.isfinite([untrained, target]).all():
        raise ArgumentError(
            "The untrained performance and the target must be finite, got "
            f"{untrained} and {target}."
        )
    if not (target > untrained if higher_is_better else target < untrained):
        raise ArgumentError(
            f"The target must be better than the untrained performance, got {target} and "
            f"{untrained}, where {'higher' if higher_is_better else 'lower'} is better."
        )
    return np.asarray((numbers - untrained) / (target - untrained))
