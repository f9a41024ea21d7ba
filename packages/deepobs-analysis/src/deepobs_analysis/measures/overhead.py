"""What a step of an optimizer costs beside a step of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepobs.errors import ArgumentError
from deepobs_analysis.measures.checking import Floats, positive

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def relative_step_time(
    seconds: ArrayLike, steps: ArrayLike, reference_seconds: ArrayLike, reference_steps: ArrayLike
) -> float:
    """How many times as long a step takes as one of a reference optimizer, such as SGD.

    It is the ratio of two medians of seconds per step. The median leaves out what disturbed single
    epochs, the first one's warm-up among it.

    This says something of the optimizers only if the two were measured on the same problem and
    batch size, on the same device of the same hardware with the same versions of the software, and
    with nothing else running.

    Args:
        seconds: Seconds of training without evaluation, above 0, of each epoch or run, shape (n,).
        steps: The steps taken in them, above 0: one number, or one for each, shape (n,).
        reference_seconds: The same of the reference, shape (m,).
        reference_steps: The same of the reference: one number, or one for each, shape (m,).

    Returns:
        Above 0: 1 if a step takes as long as one of the reference, 2 if twice as long.

    Raises:
        ArgumentError: There is nothing, something is not above 0, or lengths differ.
    """
    own = np.median(_seconds_per_step(seconds, steps))
    return float(own / np.median(_seconds_per_step(reference_seconds, reference_steps)))


def _seconds_per_step(seconds: ArrayLike, steps: ArrayLike) -> Floats:
    durations = positive(seconds, "seconds")
    counts = positive(np.atleast_1d(steps), "steps")
    if len(counts) not in (1, len(durations)):
        raise ArgumentError(
            f"The steps must be one number or as many as the {len(durations)} seconds, got "
            f"{len(counts)}."
        )
    return durations / counts
