"""How soon a target performance is reached, in epochs, steps, gradient evaluations and seconds.

A run that never reaches its target takes infinitely long in each of them. A value that is NaN does
not reach any target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.checking import finite, floats, ordered

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class MeanTime(NamedTuple):
    """The mean time of the runs that reached the target.

    Attributes:
        mean: In the unit of the times; infinite if no run reached the target.
        reached: How many runs reached it.
        runs: How many there are.
    """

    mean: float
    reached: int
    runs: int


def epochs_to_target(curve: ArrayLike, target: float, *, higher_is_better: bool) -> float:
    """The first epoch after which the target is reached.

    The original calls the mean of this over runs the speed of an optimizer.

    Args:
        curve: A value before training and after every epoch, shape (epochs + 1,).
        target: The target performance. A value that equals it has reached it.
        higher_is_better: True for accuracies, False for losses.

    Returns:
        A whole number of epochs: 0 if the target is reached before training, infinity if never.

    Raises:
        ArgumentError: The curve is empty, or the target is NaN.

    References:
        Schneider et al., DeepOBS, ICLR 2019, https://arxiv.org/abs/1903.05499.
    """
    if np.isnan(target):
        raise ArgumentError("The target must be a number, got NaN. Leave out problems without one.")
    values = floats(curve, "curve")
    (reached,) = np.nonzero(values >= target if higher_is_better else values <= target)
    return float(reached[0]) if reached.size else np.inf


def steps_to_target(
    curve: ArrayLike, target: float, steps_per_epoch: float, *, higher_is_better: bool
) -> float:
    """Steps of the optimizer until the target is reached: epochs times steps of an epoch.

    Args:
        curve: A value before training and after every epoch, shape (epochs + 1,).
        target: The target performance. A value that equals it has reached it.
        steps_per_epoch: Steps of a whole epoch, above 0; NaN if it is not known.
        higher_is_better: True for accuracies, False for losses.

    Returns:
        A whole number of steps, infinity if the target is never reached, NaN if `steps_per_epoch`
        is NaN.

    Raises:
        ArgumentError: The curve is empty, the target is NaN, or an epoch has no step.
    """
    epochs = epochs_to_target(curve, target, higher_is_better=higher_is_better)
    return epochs * _above_zero(steps_per_epoch, "steps")


def gradient_evaluations_to_target(
    curve: ArrayLike, target: float, evaluations_per_epoch: float, *, higher_is_better: bool
) -> float:
    """Evaluations of the gradient of a batch until the target is reached.

    They differ from the steps for optimizers that evaluate the gradient more than once in a step.

    Args:
        curve: A value before training and after every epoch, shape (epochs + 1,).
        target: The target performance. A value that equals it has reached it.
        evaluations_per_epoch: Evaluations of the gradient in an epoch, above 0: those of the whole
            run divided by its epochs where they vary; NaN if it is not known.
        higher_is_better: True for accuracies, False for losses.

    Returns:
        Evaluations, infinity if the target is never reached, NaN if `evaluations_per_epoch` is NaN.

    Raises:
        ArgumentError: The curve is empty, the target is NaN, or an epoch has no evaluation.
    """
    epochs = epochs_to_target(curve, target, higher_is_better=higher_is_better)
    return epochs * _above_zero(evaluations_per_epoch, "gradient evaluations")


def seconds_to_target(
    curve: ArrayLike, train_seconds: ArrayLike, target: float, *, higher_is_better: bool
) -> float:
    """Seconds of training until the target is reached: the sum over the epochs until then.

    Seconds of different runs compare only if they were measured on the same hardware.

    Args:
        curve: A value before training and after every epoch, shape (epochs + 1,).
        train_seconds: Seconds of training in each epoch, without evaluation, shape (epochs,).
        target: The target performance. A value that equals it has reached it.
        higher_is_better: True for accuracies, False for losses.

    Returns:
        Seconds: 0 if the target is reached before training, infinity if never.

    Raises:
        ArgumentError: The curve is empty, the target is NaN, or the seconds are not those of the
            curve's epochs.
    """
    epochs = epochs_to_target(curve, target, higher_is_better=higher_is_better)
    trained = len(floats(curve, "curve")) - 1
    seconds = finite(train_seconds, "training seconds") if trained else np.empty(0)
    if len(seconds) != trained:
        raise ArgumentError(
            f"A curve of {trained} epochs needs as many training seconds, got {len(seconds)}."
        )
    return float(seconds[: int(epochs)].sum()) if np.isfinite(epochs) else np.inf


def mean_time(times: ArrayLike) -> MeanTime:
    """The mean time to the target over the runs that reached it, and how many did.

    A run that never reaches the target has no time that a mean could hold, so it is left out, and
    what was left out is said: a mean over 3 of 10 runs is that of the 3 fastest. Where all runs
    reach the target it is the plain mean, which the original calls speed.

    Args:
        times: Of each run, in any unit, infinite where the target was not reached, shape (runs,).

    Raises:
        ArgumentError: There are none, or some are NaN.
    """
    numbers = ordered(times, "times")
    reached = numbers[np.isfinite(numbers)]
    mean = float(reached.mean()) if reached.size else np.inf
    return MeanTime(mean, reached.size, numbers.size)


def _above_zero(per_epoch: float, what: str) -> float:
    if per_epoch <= 0:
        raise ArgumentError(f"An epoch must have more than 0 {what}, got {per_epoch}.")
    return per_epoch
