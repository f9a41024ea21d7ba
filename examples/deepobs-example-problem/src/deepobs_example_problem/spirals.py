"""Points of interleaved spirals, computed when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from deepobs.data import Examples, GeneratedDataSet, Splits

if TYPE_CHECKING:
    from pathlib import Path

_TURNS = 1.5
_NOISE = 0.2
"""Standard deviation of the angle, in radians; neighboring spirals are 2.1 radians apart."""


class Spirals(GeneratedDataSet):
    """Points in the plane, each on one of three spirals that wind around each other.

    A batch is `(points (B, 2) float, labels (B,) int64)`. The description in `plugin.py` states the
    sizes of the splits.

    Attributes:
        num_classes: Labels run from 0 to one less.
        train_eval_size: Number of training examples on which the training loss is evaluated.
    """

    num_classes: ClassVar[int] = 3
    train_eval_size: ClassVar[int] = 1000

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Compute the examples; `data_dir` is not used."""
        del data_dir
        # Fixed seeds, because the data must not depend on the seed of the run.
        return Splits(
            train=_spirals(cls.spec.train_size, seed=42),
            test=_spirals(cls.spec.test_size, seed=43),
        )


def _spirals(size: int, seed: int) -> Examples:
    """Draw points from each spiral in turn.

    Args:
        size: Number of points.
        seed: Seed of the noise.

    Returns:
        Points, float32 of shape (size, 2), and the spirals they are on, int64 of shape (size,).
    """
    # NumPy guarantees the stream of this legacy generator, torch that of none: the points must be
    # the same in every release.
    random = np.random.RandomState(seed)
    labels = np.arange(size, dtype=np.int64) % Spirals.num_classes
    radii = np.sqrt(random.uniform(0.02, 1.0, size))  # uniform density
    angles = 2 * np.pi * (_TURNS * radii + labels / Spirals.num_classes)
    angles += random.normal(0.0, _NOISE, size)
    points = np.stack((radii * np.cos(angles), radii * np.sin(angles)), axis=1)
    return torch.from_numpy(points.astype(np.float32)), torch.from_numpy(labels)
