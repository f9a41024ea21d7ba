"""How fast runs reach a target performance, on one problem and over many.

A run that never reaches its target takes infinitely long. A curve holds a value before training
and after every epoch, shape (epochs + 1,), or one of each evaluation, where `evaluated_at` says
after how many epochs that was; a value that is NaN reaches no target. All functions
raise `ArgumentError` for empty input and for values that they do not allow.

References:
    Dahl et al., Benchmarking Neural Network Training Algorithms (AlgoPerf), 2023,
    https://arxiv.org/abs/2306.07179, section 4.
    Dolan and Moré, Benchmarking Optimization Software with Performance Profiles, Mathematical
    Programming 91 (2002), https://arxiv.org/abs/cs/0102001.
    Schneider et al., DeepOBS, ICLR 2019, https://arxiv.org/abs/1903.05499.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.arrays import (
    Floats,
    equally_long,
    finite,
    floats,
    median,
    ordered,
    positive,
    relative_tolerance,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


class MeanTime(NamedTuple):
    """The mean time of the runs that reached the target.

    Attributes:
        mean: In the unit of the times; infinite if no run reached the target.
        reached: How many runs reached it.
        runs: How many runs there are.
    """

    mean: float
    reached: int
    runs: int


class Reached(NamedTuple):
    """On how many problems, or by how many seeds, targets are reached, and how many there are."""

    reached: int
    of: int


class Speedup(NamedTuple):
    """How many times as fast as a reference an optimizer is.

    Attributes:
        geometric_mean: Above 1 if it is faster; NaN where one of them misses a target, and where
            no problem counts.
        problems: How many problems count.
        reached: On how many problems the optimizer reaches the target.
        reached_by_reference: On how many the reference does.
        of: How many problems there are.
    """

    geometric_mean: float
    problems: int
    reached: int
    reached_by_reference: int
    of: int


def target_performance(
    performances: Sequence[ArrayLike], *, higher_is_better: bool, tolerance: float = 0.0
) -> float:
    """The target of a problem: what half of the runs of the best reference optimizer reach.

    This is the rule of AlgoPerf with an added tolerance:

    1. Tune each reference optimizer, and run its chosen configuration with many seeds.
    2. Take the best performance of each run (or the final one, to demand that it is kept), and the
       median over the runs of each optimizer.
    3. The best of these medians is the target, made easier by `tolerance * |median|`.

    The median keeps a lucky seed from setting a target that hardly any run reaches.

    The convergence performances published with DeepOBS 1.1 do not follow from the result files
    published with them by this or any other simple rule: use them to compare with published speeds,
    and this rule for new problems and configurations.

    Args:
        performances: For each reference optimizer, the performance of each run of its chosen
            configuration, shape (runs,). Infinitely bad for runs that diverged.
        higher_is_better: True for accuracies, False for losses.
        tolerance: How much easier than the median, as a fraction of it, 0 or more.

    Returns:
        The target, in the unit of the performances.

    Raises:
        ArgumentError: There are no runs, some performances are NaN, half of the runs of every
            optimizer diverged, or the tolerance is negative.
    """
    if len(performances) == 0:
        raise ArgumentError(
            "A target needs the runs of at least one reference optimizer, got none."
        )
    sign = 1 if higher_is_better else -1
    best = max(median(sign * ordered(each, "performances")) for each in performances)
    if not np.isfinite(best):
        raise ArgumentError(
            "Half of the runs or more of every reference optimizer diverged: there is no target. "
            "Choose other configurations of them."
        )
    return float(sign * (best - relative_tolerance(tolerance) * abs(best)))


def epochs_to_target(
    curve: ArrayLike,
    target: float,
    *,
    higher_is_better: bool,
    evaluated_at: ArrayLike | None = None,
) -> float:
    """The first epoch after which the target is reached.

    The original calls the mean of this over runs the speed of an optimizer.

    Args:
        curve: Shape (evaluations,).
        target: The target performance. A value equal to it reaches it.
        higher_is_better: True for accuracies, False for losses.
        evaluated_at: Epochs trained at each evaluation, a fraction within one, shape
            (evaluations,); `None` for 0, 1, 2, ...

    Returns:
        The epochs at an evaluation: 0 if the target is reached before training, infinity if never.
    """
    if np.isnan(target):
        raise ArgumentError("The target must be a number, got NaN. Skip problems without a target.")
    values = floats(curve, "curve")
    (reached,) = np.nonzero(values >= target if higher_is_better else values <= target)
    if not reached.size:
        return np.inf
    return float(
        reached[0] if evaluated_at is None else _positions(evaluated_at, values)[reached[0]]
    )


def _positions(evaluated_at: ArrayLike, curve: Floats) -> Floats:
    """The epochs trained at each value of a curve."""
    positions = finite(evaluated_at, "epochs of evaluations")
    if len(positions) != len(curve) or positions[0] != 0 or (np.diff(positions) <= 0).any():
        raise ArgumentError(
            f"A curve of {len(curve)} evaluations needs the epochs of as many, from 0 and "
            f"increasing; got {positions.tolist()}."
        )
    return positions


def steps_to_target(
    curve: ArrayLike,
    target: float,
    steps_per_epoch: float,
    *,
    higher_is_better: bool,
    evaluated_at: ArrayLike | None = None,
) -> float:
    """Optimization steps until the target is reached: epochs times steps per epoch.

    Args:
        curve: Shape (evaluations,).
        target: The target performance.
        steps_per_epoch: Steps of a whole epoch, above 0; NaN if unknown.
        higher_is_better: True for accuracies, False for losses.
        evaluated_at: Epochs trained at each evaluation; `None` for 0, 1, 2, ...

    Returns:
        Steps, infinity if the target is never reached, NaN if `steps_per_epoch` is NaN.
    """
    epochs = epochs_to_target(
        curve, target, higher_is_better=higher_is_better, evaluated_at=evaluated_at
    )
    return epochs * _above_zero(steps_per_epoch, "steps")


def gradient_evaluations_to_target(
    curve: ArrayLike,
    target: float,
    evaluations_per_epoch: float,
    *,
    higher_is_better: bool,
    evaluated_at: ArrayLike | None = None,
) -> float:
    """Gradient evaluations until the target is reached.

    They differ from the steps for optimizers that evaluate the gradient several times per step.

    Args:
        curve: Shape (evaluations,).
        target: The target performance.
        evaluations_per_epoch: Gradient evaluations per epoch, above 0: those of the whole run
            divided by its epochs where they vary; NaN if unknown.
        higher_is_better: True for accuracies, False for losses.
        evaluated_at: Epochs trained at each evaluation; `None` for 0, 1, 2, ...

    Returns:
        Evaluations, infinity if the target is never reached, NaN if `evaluations_per_epoch` is NaN.
    """
    epochs = epochs_to_target(
        curve, target, higher_is_better=higher_is_better, evaluated_at=evaluated_at
    )
    return epochs * _above_zero(evaluations_per_epoch, "gradient evaluations")


def seconds_to_target(
    curve: ArrayLike,
    train_seconds: ArrayLike,
    target: float,
    *,
    higher_is_better: bool,
    evaluated_at: ArrayLike | None = None,
) -> float:
    """Seconds of training until the target is reached: the sum over the epochs until then.

    Within an epoch, all steps count as equally long. Seconds of different runs compare only if they
    were measured on the same hardware.

    Args:
        curve: Shape (evaluations,).
        train_seconds: Seconds of training in each epoch, without evaluation, shape (epochs,). The
            last one may have ended early, with the last evaluation.
        target: The target performance.
        higher_is_better: True for accuracies, False for losses.
        evaluated_at: Epochs trained at each evaluation, a fraction within one, shape
            (evaluations,); `None` for 0, 1, 2, ...

    Returns:
        Seconds: 0 if the target is reached before training, infinity if never.
    """
    epochs = epochs_to_target(
        curve, target, higher_is_better=higher_is_better, evaluated_at=evaluated_at
    )
    measured = floats(curve, "curve")
    last = len(measured) - 1.0
    if evaluated_at is not None:
        last = float(_positions(evaluated_at, measured)[-1])
    trained = int(np.ceil(last))
    # `finite` refuses empty arrays, but a run of no epochs has no training seconds.
    seconds = finite(train_seconds, "training seconds") if trained else np.empty(0)
    if len(seconds) != trained:
        raise ArgumentError(
            f"A curve of {trained} epochs needs as many training seconds, got {len(seconds)}."
        )
    if not np.isfinite(epochs):
        return np.inf
    whole = int(epochs)
    total = float(seconds[:whole].sum())
    if epochs > whole:
        total += float(seconds[whole]) * (epochs - whole) / min(last - whole, 1.0)
    return total


def mean_time(times: ArrayLike) -> MeanTime:
    """The mean time to the target over the runs that reached it, and how many did.

    A run that never reaches the target has no finite time to average, so it is excluded and
    counted: a mean over 3 of 10 runs is that of the 3 fastest. Where all runs reach the target, it
    is the plain mean, which the original calls speed.

    Args:
        times: One per run, in any unit, infinite where the target was not reached, shape (runs,).
    """
    numbers = ordered(times, "times")
    reached = numbers[np.isfinite(numbers)]
    mean = float(reached.mean()) if reached.size else np.inf
    return MeanTime(mean, reached.size, numbers.size)


def relative_step_time(
    seconds: ArrayLike, steps: ArrayLike, reference_seconds: ArrayLike, reference_steps: ArrayLike
) -> float:
    """How many times as long a step takes as one of a reference optimizer, such as SGD.

    It is the ratio of two medians of seconds per step. The median ignores disturbances of single
    epochs, including the warm-up of the first.

    The ratio describes the optimizers only if both were measured on the same problem and batch
    size, on the same device and hardware with the same software, and with nothing else running.

    Args:
        seconds: Seconds of training without evaluation, above 0, per epoch or run, shape (n,).
        steps: The steps taken in them, above 0: one number, or shape (n,).
        reference_seconds: The same for the reference, shape (m,).
        reference_steps: The same for the reference: one number, or shape (m,).

    Returns:
        Above 0: 1 if a step takes as long as one of the reference, 2 if twice as long.
    """
    own = np.median(_seconds_per_step(seconds, steps))
    return float(own / np.median(_seconds_per_step(reference_seconds, reference_steps)))


def performance_ratios(times: ArrayLike) -> Floats:
    """How many times as long as the fastest each optimizer takes: time / smallest time.

    Args:
        times: Time of each optimizer to the target of each problem, 0 or more, infinite where it
            was not reached, shape (optimizers, problems). Each problem may have its own unit;
            AlgoPerf takes the median over repetitions.

    Returns:
        1 for the fastest on a problem, more for the others, infinite where the target was not
        reached, shape (optimizers, problems). A problem that no optimizer reaches is infinite for
        all. Where the fastest takes no time, as it is at the target before training, others that
        take none have 1 and the rest infinity.
    """
    numbers = _not_negative(times, dimensions=2)
    fastest = numbers.min(axis=0)
    can_divide = np.isfinite(numbers) & (fastest > 0)
    ratios = np.where(numbers == fastest, 1.0, np.inf)
    np.divide(numbers, fastest, out=ratios, where=can_divide)
    # inf == inf made these the "fastest" above: nobody wins a problem that nobody solves.
    ratios[:, np.isinf(fastest)] = np.inf
    return ratios


def performance_profile(ratios: ArrayLike, taus: ArrayLike) -> Floats:
    """The share of problems on which an optimizer takes at most tau times as long as the fastest.

    Args:
        ratios: From `performance_ratios`, shape (optimizers, problems).
        taus: Where to evaluate the profile, finite, shape (taus,).

    Returns:
        Between 0 and 1, rising with tau, shape (optimizers, taus).
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
        largest_tau: The ratio from which on a problem counts no more than one whose target was
            never reached, above 1. AlgoPerf uses 4.

    Returns:
        Between 0 and 1, shape (optimizers,): 1 for the fastest on all problems. Like the ratios it
        depends on which other optimizers are compared.
    """
    if not 1 < largest_tau < np.inf:
        raise ArgumentError(f"largest_tau must be a number above 1, such as 4, got {largest_tau}.")
    # In closed form, as the profile is a staircase: sampled at some taus, it would be off by the
    # width of their grid.
    areas = np.maximum(0.0, largest_tau - _ratios(ratios))
    return np.asarray(areas.mean(axis=1) / (largest_tau - 1))


def geometric_mean_speedup(times: ArrayLike, reference: ArrayLike) -> Speedup:
    """The geometric mean over problems of the reference's time divided by the optimizer's.

    Args:
        times: Of an optimizer, infinite where the target was not reached, shape (problems,).
        reference: Of the reference on the same problems, shape (problems,).

    Returns:
        The mean over the problems on which neither is at the target before training, and how many
        those are. There is none where one of them misses a target, as in AlgoPerf.
    """
    own, other = _not_negative(times, dimensions=1), _not_negative(reference, dimensions=1)
    equally_long("times", own, "times of the reference", other)
    # A target that is met before training takes no time: its ratio would be 0 or infinite, and one
    # such problem would decide the mean.
    counts = np.isfinite(own) & np.isfinite(other) & (own > 0) & (other > 0)
    reached, theirs = (int(np.isfinite(each).sum()) for each in (own, other))
    # Over the problems that both solve, an optimizer that solves only the easiest one could lead.
    if not counts.any() or min(reached, theirs) < len(own):
        mean = np.nan
    else:
        mean = float(np.exp(np.log(other[counts] / own[counts]).mean()))
    return Speedup(mean, int(counts.sum()), reached, theirs, len(own))


def _above_zero(per_epoch: float, what: str) -> float:
    if per_epoch <= 0:
        raise ArgumentError(f"An epoch must have more than 0 {what}, got {per_epoch}.")
    return per_epoch


def _seconds_per_step(seconds: ArrayLike, steps: ArrayLike) -> Floats:
    durations = positive(seconds, "seconds")
    counts = positive(np.atleast_1d(steps), "steps")
    if len(counts) not in (1, len(durations)):
        raise ArgumentError(
            f"The steps must be one number or as many as the {len(durations)} seconds, got "
            f"{len(counts)}."
        )
    return durations / counts


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
