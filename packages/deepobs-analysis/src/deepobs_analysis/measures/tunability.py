"""What tuning buys: the performance to expect of the best of a number of trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.checking import Floats, ordered

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def expected_best_of(values: ArrayLike, trials: int, *, higher_is_better: bool) -> float:
    """The expected best of some of the observed trials, drawn without replacement.

    With the n values sorted from the worst v_1 to the best v_n, the best of k is v_i in
    C(i - 1, k - 1) of the C(n, k) ways to draw, so the expectation is

        sum over i = k..n of C(i - 1, k - 1) / C(n, k) * v_i.

    As a U-statistic it estimates the expected best of k independent trials of a random search
    without bias. (Drawing with replacement, as Dodge et al. do, is biased towards the worse.)

    Args:
        values: The performance of each trial, shape (n,), in any order. A trial that diverged
            counts as the worst there can be: pass it as such, for example as the value before
            training. Infinitely bad is possible too; the expectation is then infinitely bad as
            long as `trials` could all have diverged.
        trials: How many are drawn (k), from 1 to n.
        higher_is_better: True for accuracies, False for losses.

    Returns:
        The expectation, in the unit of the values.

    Raises:
        ArgumentError: There are no values, some are NaN or infinitely good, or fewer than `trials`.

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

    Args:
        values: The performance of each trial, shape (n,), in any order; diverged ones as the worst
            there can be.
        higher_is_better: True for accuracies, False for losses.

    Returns:
        Expectations, from the mean to the best of the values, shape (n,).

    Raises:
        ArgumentError: There are no values, or some are NaN or infinitely good.
    """
    goodness = _goodness(values, higher_is_better=higher_is_better)
    curve = np.array([_expected_best(goodness, k) for k in range(1, len(goodness) + 1)])
    return curve if higher_is_better else -curve


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
    # one is that of its better neighbour times (i - k + 1) / i: products of numbers up to 1.
    ranks = np.arange(len(goodness) - 1, trials - 1, -1)
    shares = np.cumprod(np.concatenate(([trials / len(goodness)], (ranks - trials + 1) / ranks)))
    return float(shares @ possible[::-1])
