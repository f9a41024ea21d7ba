"""How much performance depends on hyperparameters, and what tuning them buys.

All functions raise `ArgumentError` for empty input and for values that they do not allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.arrays import (
    Floats,
    equally_long,
    finite,
    floats,
    ordered,
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
    """The width of the range in which a hyperparameter performs nearly as well as at its best.

    From the best value of the hyperparameter, the range extends in both directions as long as every
    tried value has a performance within `tolerance * |best performance|` of the best. Its width is
    log10(largest / smallest). What lies between two tried values and beyond the last is unknown, so
    the width grows with a finer or wider grid: compare it on equal grids only.

    Args:
        hyperparameters: The value of each trial, above 0, such as learning rates, shape (trials,).
            Where a value occurs more than once, with other hyperparameters, its best trial counts.
        performances: Of each trial, shape (trials,). NaN or infinitely bad for runs that diverged:
            they are never close to the best.
        higher_is_better: True for accuracies, False for losses.
        tolerance: How much worse than the best is allowed, as a fraction of the best.

    Returns:
        Decades, 0 or more: 0 if only the best value is good enough, 1 if the range spans a factor
        of ten. NaN if every trial diverged.
    """
    values = positive(hyperparameters, "values of the hyperparameter")
    goodness = _goodness_or_lost(performances, higher_is_better=higher_is_better)
    equally_long("values of the hyperparameter", values, "performances", goodness)
    tried, positions = np.unique(values, return_inverse=True)
    best_of = np.full(len(tried), -np.inf)
    np.maximum.at(best_of, positions, goodness)
    is_close = _close_to_best(best_of, tolerance)
    if not is_close.any():
        return np.nan
    # Only without a gap: a second good range beyond bad values is found by luck, not by tuning.
    first, last = _run_around(is_close, int(best_of.argmax()))
    return float(np.log10(tried[last] / tried[first]))


def share_within(
    performances: ArrayLike, *, higher_is_better: bool, tolerance: float = 0.1
) -> float:
    """The share of trials that perform nearly as well as the best one.

    Compare it for equal grids or search spaces only.

    Args:
        performances: Of each trial, shape (trials,). NaN or infinitely bad for runs that diverged.
        higher_is_better: True for accuracies, False for losses.
        tolerance: How much worse than the best is allowed, as a fraction of the best.

    Returns:
        Between 0 and 1, including the best trial. 0 if every trial diverged.
    """
    goodness = _goodness_or_lost(performances, higher_is_better=higher_is_better)
    return float(_close_to_best(goodness, tolerance).mean())


def gain_from_tuning_each_problem(scores: ArrayLike) -> float:
    """How much is gained by tuning on each problem, over one configuration for all problems.

        mean over problems of (max over configurations of score)
        - max over configurations of (mean over problems of score)

    The paper calls it the hyperparameter sensitivity of an algorithm. An optimizer whose defaults
    are best everywhere has 0.

    Args:
        scores: Of each configuration on each problem, comparable between problems and higher for
            better, for example from `normalized`; finite, shape (configurations, problems).

    Returns:
        0 or more, in the unit of the scores.

    References:
        Adkins, Bowling and White, A Method for Evaluating Hyperparameter Sensitivity in
        Reinforcement Learning, NeurIPS 2024, https://arxiv.org/abs/2412.07165, where scores are
        normalized by percentiles.
    """
    numbers = finite(scores, "scores", dimensions=2)
    return float(numbers.max(axis=0).mean() - numbers.mean(axis=1).max())


def expected_best_of(values: ArrayLike, trials: int, *, higher_is_better: bool) -> float:
    """The expected best of some of the observed trials, drawn without replacement.

    With the n values sorted from the worst v_1 to the best v_n, the best of k is v_i in
    C(i - 1, k - 1) of the C(n, k) ways to draw, so the expectation is

        sum over i = k..n of C(i - 1, k - 1) / C(n, k) * v_i.

    As a U-statistic it estimates the expected best of k independent trials of a random search
    without bias. (Drawing with replacement, as Dodge et al. do, is biased toward worse values.)

    Args:
        values: The performance of each trial, shape (n,), in any order. A trial that diverged
            counts as the worst possible: pass it as such, for example as the value before
            training. Infinitely bad is allowed; the expectation is then infinitely bad as long as
            all drawn trials could have diverged.
        trials: How many are drawn (k), from 1 to n.
        higher_is_better: True for accuracies, False for losses.

    Returns:
        The expectation, in the unit of the values.

    References:
        Tang et al., Showing Your Work Doesn't Always Work, ACL 2020,
        https://arxiv.org/abs/2004.13705 (this estimator).
        Dodge et al., Show Your Work, EMNLP 2019, https://arxiv.org/abs/1909.03004 (the biased one).
    """
    goodness = _goodness(values, higher_is_better=higher_is_better)
    if not 1 <= trials <= len(goodness):
        raise ArgumentError(
            f"The number of trials must be between 1 and the number of values, {len(goodness)}, "
            f"got {trials}."
        )
    expected = _expected_best(goodness, trials)
    return expected if higher_is_better else -expected


def expected_best_curve(values: ArrayLike, *, higher_is_better: bool) -> Floats:
    """The expected best of 1, 2, ... and all observed trials; see `expected_best_of`.

    Returns:
        Expectations, from the mean to the best of the values, shape (n,).
    """
    goodness = _goodness(values, higher_is_better=higher_is_better)
    curve = np.array([_expected_best(goodness, k) for k in range(1, len(goodness) + 1)])
    return curve if higher_is_better else -curve


def _goodness_or_lost(performances: ArrayLike, *, higher_is_better: bool) -> Floats:
    """Performances with a sign that makes higher better; -inf for what diverged."""
    values = floats(performances, "performances")
    return np.where(np.isfinite(values), values if higher_is_better else -values, -np.inf)


def _close_to_best(goodness: Floats, tolerance: float) -> NDArray[np.bool_]:
    best = goodness.max()
    # -inf - tolerance * inf is NaN, to which nothing compares.
    if best == -np.inf:
        return np.zeros(goodness.shape, dtype=np.bool_)
    return np.asarray(goodness >= best - relative_tolerance(tolerance) * abs(best))


def _run_around(flags: NDArray[np.bool_], position: int) -> tuple[int, int]:
    """The first and the last of the set flags without a gap around a position."""
    (unset,) = np.nonzero(~flags)
    before, after = unset[unset < position], unset[unset > position]
    first = int(before[-1]) + 1 if before.size else 0
    last = int(after[0]) - 1 if after.size else len(flags) - 1
    return first, last


def _goodness(values: ArrayLike, *, higher_is_better: bool) -> Floats:
    """The values sorted from the worst to the best, with a sign that makes higher better."""
    numbers = ordered(values, "values")
    goodness = np.sort(numbers if higher_is_better else -numbers)
    if goodness[-1] == np.inf:
        raise ArgumentError(
            "The values must not be infinitely good. A diverged trial counts as the worst: pass "
            f"{'-inf' if higher_is_better else 'inf'} or a finite value for it."
        )
    return goodness


def _expected_best(goodness: Floats, trials: int) -> float:
    possible = goodness[trials - 1 :]
    if possible[0] == -np.inf:
        return -np.inf
    # The binomials themselves overflow. Of their quotients, that of v_n is k / n, and each other
    # one is that of its better neighbor times (i - k + 1) / i: products of numbers up to 1.
    ranks = np.arange(len(goodness) - 1, trials - 1, -1)
    shares = np.cumprod(np.concatenate(([trials / len(goodness)], (ranks - trials + 1) / ranks)))
    return float(shares @ possible[::-1])
