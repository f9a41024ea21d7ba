"""Time to target over many problems: performance profiles and scores, as AlgoPerf defines them.

`times` are those of each optimizer on each problem until it reaches the problem's target, infinite
where it does not, in any unit: for one problem, they must be measured alike. AlgoPerf takes the
median over repetitions.

References:
    Dahl et al., Benchmarking Neural Network Training Algorithms, 2023,
    https://arxiv.org/abs/2306.07179, section 4.
    Dolan and Moré, Benchmarking Optimization Software with Performance Profiles, Mathematical
    Programming 91 (2002), https://arxiv.org/abs/cs/0102001.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.checking import Floats, equally_long, finite, ordered

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Speedup(NamedTuple):
    """How many times as fast as a reference an optimizer is.

    Attributes:
        geometric_mean: Above 1 if it is faster; NaN if no problem counts.
        problems: How many problems count.
    """

    geometric_mean: float
    problems: int


def performance_ratios(times: ArrayLike) -> Floats:
    """How many times as long as the fastest each optimizer takes: time / smallest time.

    Args:
        times: 0 or more, infinite where the target was not reached, shape (optimizers, problems).

    Returns:
        1 for the fastest on a problem, more for the others, infinite where the target was not
        reached, shape (optimizers, problems). A problem that no optimizer reaches is infinite for
        all. Where the fastest takes no time at all, because it is at the target before training,
        the others who take none have 1 and the rest infinity.

    Raises:
        ArgumentError: There are none, or some are NaN or negative.
    """
    numbers = _not_negative(times, dimensions=2)
    fastest = numbers.min(axis=0)
    can_divide = np.isfinite(numbers) & (fastest > 0)
    ratios = np.where(numbers == fastest, 1.0, np.inf)
    np.divide(numbers, fastest, out=ratios, where=can_divide)
    ratios[:, np.isinf(fastest)] = np.inf
    return ratios


def performance_profile(ratios: ArrayLike, taus: ArrayLike) -> Floats:
    """On which share of the problems an optimizer takes at most tau times as long as the fastest.

    Args:
        ratios: From `performance_ratios`, shape (optimizers, problems).
        taus: Where to evaluate the profile, finite, shape (taus,).

    Returns:
        Between 0 and 1, rising with tau, shape (optimizers, taus).

    Raises:
        ArgumentError: There are none, some are NaN, a ratio is below 1, or a tau is not finite.
    """
    points = finite(taus, "taus")
    is_within = _ratios(ratios)[:, np.newaxis, :] <= points[:, np.newaxis]
    return np.asarray(is_within.mean(axis=-1))


def benchmark_score(ratios: ArrayLike, *, largest_tau: float = 4.0) -> Floats:
    """The AlgoPerf benchmark score: the area under the performance profile.

        1 / (largest_tau - 1) * integral from 1 to largest_tau of profile(tau) dtau

    A problem adds a step to the profile at its ratio r, so the integral is the mean over problems
    of max(0, largest_tau - r).

    Args:
        ratios: From `performance_ratios`, shape (optimizers, problems).
        largest_tau: From which ratio on a problem counts no more than one whose target was never
            reached, above 1. AlgoPerf uses 4.

    Returns:
        Between 0 and 1, shape (optimizers,): 1 for the fastest on all problems. Like the ratios it
        depends on which other optimizers are compared.

    Raises:
        ArgumentError: There are none, some are NaN, a ratio is below 1, or `largest_tau` is not
            above 1.
    """
    if not 1 < largest_tau < np.inf:
        raise ArgumentError(f"largest_tau must be a number above 1, such as 4, got {largest_tau}.")
    areas = np.maximum(0.0, largest_tau - _ratios(ratios))
    return np.asarray(areas.mean(axis=1) / (largest_tau - 1))


def geometric_mean_speedup(times: ArrayLike, reference: ArrayLike) -> Speedup:
    """The geometric mean over problems of the reference's time divided by the optimizer's.

    Args:
        times: Of an optimizer, infinite where the target was not reached, shape (problems,).
        reference: Of the reference on the same problems, shape (problems,).

    Returns:
        The mean over the problems on which both reach the target and neither is there before
        training, with how many these are. (AlgoPerf states it for optimizers that reach all.)

    Raises:
        ArgumentError: There are none, some are NaN or negative, or they differ in number.
    """
    own, other = _not_negative(times, dimensions=1), _not_negative(reference, dimensions=1)
    equally_long("times", own, "times of the reference", other)
    counts = np.isfinite(own) & np.isfinite(other) & (own > 0) & (other > 0)
    if not counts.any():
        return Speedup(np.nan, 0)
    mean = np.exp(np.log(other[counts] / own[counts]).mean())
    return Speedup(float(mean), int(counts.sum()))


def _not_negative(times: ArrayLike, *, dimensions: int) -> Floats:
    numbers = ordered(times, "times", dimensions=dimensions)
    if numbers.min() < 0:
        raise ArgumentError(f"The times must be 0 or more, got {numbers.min()} among them.")
    return numbers


def _ratios(ratios: ArrayLike) -> Floats:
    numbers = ordered(ratios, "ratios", dimensions=2)
    if numbers.min() < 1:
        raise ArgumentError(
            f"Ratios to the fastest must be 1 or more, got {numbers.min()} among them. "
            "Compute them with performance_ratios."
        )
    return numbers
