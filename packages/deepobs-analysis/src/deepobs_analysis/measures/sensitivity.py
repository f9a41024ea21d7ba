"""How much the performance depends on the choice of hyperparameters.

Runs that diverged may be passed as NaN or infinitely bad: they are never close to the best.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepobs_analysis.measures.checking import (
    Floats,
    equally_long,
    finite,
    floats,
    positive,
    relative_tolerance,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def decades_within(
    hyperparameters: ArrayLike,
    performances: ArrayLike,
    *,
    higher_is_better: bool,
    tolerance: float = 0.1,
) -> float:
    """How wide the range of a hyperparameter is in which it performs nearly as well as at its best.

    From the best value of the hyperparameter the range goes in both directions as far as every
    value that was tried has a performance within `tolerance * |best performance|` of the best. Its
    width is log10(largest / smallest). What lies between two tried values, and beyond the last, is
    not known, so the width grows with a finer or wider grid: compare it on equal grids only.

    Args:
        hyperparameters: The value of each trial, above 0, such as learning rates, shape (trials,).
            Where one occurs more than once, with other hyperparameters, its best trial counts.
        performances: Of each trial, shape (trials,).
        higher_is_better: True for accuracies, False for losses.
        tolerance: How much worse than the best is allowed, as a share of the best.

    Returns:
        Decades, 0 or more: 0 if only the best value is good enough, 1 if the range spans a factor
        of ten. NaN if every trial diverged.

    Raises:
        ArgumentError: There are no trials, or a value is not allowed.
    """
    settings = positive(hyperparameters, "values of the hyperparameter")
    goodness = _goodness(performances, higher_is_better=higher_is_better)
    equally_long("values of the hyperparameter", settings, "performances", goodness)
    tried, positions = np.unique(settings, return_inverse=True)
    best_of = np.full(len(tried), -np.inf)
    np.maximum.at(best_of, positions, goodness)
    is_close = _close_to_best(best_of, tolerance)
    if not is_close.any():
        return np.nan
    first, last = _run_around(is_close, int(best_of.argmax()))
    return float(np.log10(tried[last] / tried[first]))


def share_within(
    performances: ArrayLike, *, higher_is_better: bool, tolerance: float = 0.1
) -> float:
    """The share of trials that perform nearly as well as the best one.

    It depends on what was tried: compare it for equal grids or search spaces only.

    Args:
        performances: Of each trial, shape (trials,).
        higher_is_better: True for accuracies, False for losses.
        tolerance: How much worse than the best is allowed, as a share of the best.

    Returns:
        Between 0 and 1, the best trial counted. 0 if every trial diverged.

    Raises:
        ArgumentError: There are no trials, or the tolerance is negative.
    """
    goodness = _goodness(performances, higher_is_better=higher_is_better)
    return float(_close_to_best(goodness, tolerance).mean())


def gain_from_tuning_each_problem(scores: ArrayLike) -> float:
    """How much is gained by tuning on each problem, over one setting for all problems.

        mean over problems of (max over settings of score)
        - max over settings of (mean over problems of score)

    The paper calls it the hyperparameter sensitivity of an algorithm. An optimizer whose defaults
    do everywhere has 0.

    Args:
        scores: Of each setting on each problem, comparable between problems and higher for better,
            for example from `normalized`; finite, shape (settings, problems).

    Returns:
        0 or more, in the unit of the scores.

    Raises:
        ArgumentError: There are none, or some are not finite.

    References:
        Adkins, Bowling and White, A Method for Evaluating Hyperparameter Sensitivity in
        Reinforcement Learning, NeurIPS 2024, https://arxiv.org/abs/2412.07165, where scores are
        normalised by percentiles.
    """
    numbers = finite(scores, "scores", dimensions=2)
    return float(numbers.max(axis=0).mean() - numbers.mean(axis=1).max())


def _goodness(performances: ArrayLike, *, higher_is_better: bool) -> Floats:
    """Performances with a sign that makes higher better; -inf for what diverged."""
    values = floats(performances, "performances")
    return np.where(np.isfinite(values), values if higher_is_better else -values, -np.inf)


def _close_to_best(goodness: Floats, tolerance: float) -> NDArray[np.bool_]:
    best = goodness.max()
    if best == -np.inf:
        return np.zeros(goodness.shape, dtype=np.bool_)
    return np.asarray(goodness >= best - relative_tolerance(tolerance) * abs(best))


def _run_around(flags: NDArray[np.bool_], position: int) -> tuple[int, int]:
    """The first and the last of the flags that are set without a gap around a position."""
    (unset,) = np.nonzero(~flags)
    before, after = unset[unset < position], unset[unset > position]
    first = int(before[-1]) + 1 if before.size else 0
    last = int(after[0]) - 1 if after.size else len(flags) - 1
    return first, last
