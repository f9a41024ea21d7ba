"""Target performances, by a rule that anyone can apply to a reference set again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.checking import ordered, relative_tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


def target_performance(
    performances: Sequence[ArrayLike], *, higher_is_better: bool, tolerance: float = 0.0
) -> float:
    """The target of a problem: what half of the runs of the best reference optimizer reach.

    The rule, which is that of AlgoPerf but for the tolerance:

    1. Tune each reference optimizer, and run the setting that it ends up with for many seeds.
    2. Take the best performance that each run has at any time (or the final one, to ask that it is
       kept), and the median over the runs of each optimizer.
    3. The best of these medians is the target, made easier by `tolerance * |median|`.

    The median keeps a lucky seed from setting a target that hardly any run reaches.

    The convergence performances published with DeepOBS 1.1 do not follow from the result files
    published with them by this or any other simple rule: keep them to compare with published
    speeds, and use this one for new problems and settings.

    Args:
        performances: For each reference optimizer an array with the performance of each run of its
            chosen setting, shape (runs,). Infinitely bad for runs that diverged.
        higher_is_better: True for accuracies, False for losses.
        tolerance: How much easier than the median, as a share of it, 0 or more.

    Returns:
        The target, in the unit of the performances.

    Raises:
        ArgumentError: There are no optimizers or runs, some performances are NaN, half of the runs
            of every optimizer diverged, or the tolerance is negative.

    References:
        Dahl et al., Benchmarking Neural Network Training Algorithms, 2023,
        https://arxiv.org/abs/2306.07179, section 4.
    """
    if len(performances) == 0:
        raise ArgumentError(
            "A target needs the runs of at least one reference optimizer, got none."
        )
    sign = 1 if higher_is_better else -1
    best = max(_median(sign * ordered(each, "performances")) for each in performances)
    if not np.isfinite(best):
        raise ArgumentError(
            "Half of the runs or more of every reference optimizer diverged: there is no target. "
            "Choose other settings of them."
        )
    return float(sign * (best - relative_tolerance(tolerance) * abs(best)))


def _median(values: ArrayLike) -> float:
    """The median, where half the distance to an infinity is infinite too."""
    in_order = np.sort(values)
    lower, upper = in_order[(len(in_order) - 1) // 2], in_order[len(in_order) // 2]
    return float(lower if lower == upper else (lower + upper) / 2)
