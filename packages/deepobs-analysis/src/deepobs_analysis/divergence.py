"""Curves of runs that diverged, filled as DeepOBS 1.2 does it.

From the first epoch in which a loss is not finite, every curve holds its own first value, so that a
run that diverged is never better than an untrained model. A curve whose first value is not finite
has nothing to show and is taken for not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepobs_analysis.values import Floats


@dataclass(frozen=True, slots=True)
class Divergence:
    """Whether a run diverged, and its curves.

    Attributes:
        has_diverged: Whether it did.
        epoch: In which epoch, from 1; 0 before training; `None` where it did not, or that is not
            known.
        curves: Finite values, `None` for curves that there are not.
    """

    has_diverged: bool
    epoch: int | None = None
    curves: tuple[Floats | None, ...] = ()


def settled(curves: Sequence[Floats | None], told: Divergence | None) -> Divergence:
    """Find out whether a run diverged, and fill its curves.

    Args:
        curves: A value before the first and after every epoch, all of one length, `None` for what
            was not measured. They are changed.
        told: What the file says itself; `None` where it says nothing.
    """
    epoch = _first_not_finite(curves)
    if epoch is not None:
        for curve in curves:
            if curve is not None:
                curve[epoch:] = curve[0]
    finite = tuple(
        curve if curve is not None and np.isfinite(curve[0]) else None for curve in curves
    )
    if told is not None and told.has_diverged:
        return Divergence(True, epoch if told.epoch is None else told.epoch, finite)
    return Divergence(epoch is not None, epoch, finite)


def filled_from(curves: Sequence[Floats | None], minibatch_losses: Floats | None) -> int | None:
    """From which epoch on DeepOBS 1.2 filled the curves of a run that diverged.

    Its files do not say it, but such curves go back to their first values, all of them at once and
    to the last digit. That of a run whose loss never changed may have no other reason than a
    learning rate of 0, unless a loss of a minibatch was not finite.

    Args:
        curves: A value before the first and after every epoch, `None` for what was not measured.
        minibatch_losses: Losses in training, `None` if not recorded.

    Returns:
        The epoch, from 1; `None` where they were not filled.
    """
    measured = np.array([curve for curve in curves if curve is not None])
    differs = np.flatnonzero((measured != measured[:, :1]).any(axis=0))
    epoch = int(differs[-1]) + 1 if len(differs) else 1
    is_certain = len(differs) or _has_lost(minibatch_losses)
    return epoch if is_certain and epoch < measured.shape[1] else None


def _has_lost(losses: Floats | None) -> bool:
    return losses is not None and not np.isfinite(losses).all()


def _first_not_finite(curves: Sequence[Floats | None]) -> int | None:
    epochs = [
        int(np.flatnonzero(~np.isfinite(curve))[0])
        for curve in curves
        if curve is not None and not np.isfinite(curve).all()
    ]
    return min(epochs, default=None)
