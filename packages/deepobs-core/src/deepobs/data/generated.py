"""Data sets that are computed: those of the quadratic and the two-dimensional problems."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from deepobs.data.tensor_dataset import EmbeddedDataSet, Splits

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class GeneratedDataSet(EmbeddedDataSet):
    """A data set computed by `load`, identically on every machine.

    `load` must draw from a generator with a fixed seed, so that the seed of a run has no effect,
    and from `numpy.random.RandomState`, whose stream NumPy guarantees. Besides `load`, a subclass
    only defines `train_eval_size`.
    """

    origin: ClassVar[str] = "generated"
    has_fake_twin: ClassVar[bool] = False

    @classmethod
    def make_fake(cls, fraction: float) -> Splits:
        """Never called: the data are their own twin."""
        raise NotImplementedError("Generated data need no synthetic twin.")


class Quadratic(GeneratedDataSet):
    """Normally distributed vectors of 100 numbers with mean 0 and standard deviation 0.6.

    Drawn as in the original: 1000 for training with seed 42, 1000 for testing with seed 43.
    """

    train_eval_size: ClassVar[int] = 1000

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Compute the examples."""
        del data_dir
        # The seeds of the original: with others, results would not be comparable to its.
        train, test = (_float32(_normal(seed, 0.6, (1000, 100))) for seed in (42, 43))
        return Splits(train=(train,), test=(test,))


class TwoD(GeneratedDataSet):
    """Standard normal noise for two coordinates in training, zeros in testing.

    Drawn as in the original: with seed 42, first 10000 numbers x and then 10000 numbers y.
    """

    train_eval_size: ClassVar[int] = 10000

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Compute the examples."""
        del data_dir
        x, y = map(_float32, _normal(42, 1.0, (2, 10000)))
        return Splits(train=(x, y), test=(_float32(np.zeros(10000)), _float32(np.zeros(10000))))


@functools.cache
def _normal(seed: int, standard_deviation: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    # Once for all runs of a process: in a sweep, it would take as long as an epoch of each.
    return np.random.RandomState(seed).normal(0.0, standard_deviation, shape)


def _float32(numbers: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(numbers.astype(np.float32))
