"""Data sets that are computed, so that there is nothing to download or to fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from deepobs.data.dataset import Splits
from deepobs.data.embedded import EmbeddedDataSet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class GeneratedDataSet(EmbeddedDataSet):
    """A data set that is computed, and the same wherever it is.

    A subclass says in `load` how. It draws from a generator with a seed of its own, so that the
    seed of a run changes nothing, and from `numpy.random.RandomState`, whose stream NumPy promises
    to keep. `load` is the only thing that it has to define besides `train_eval_size`.
    """

    origin: ClassVar[str] = "generated"
    has_fake_twin: ClassVar[bool] = False

    @classmethod
    def make_fake(cls, fraction: float) -> Splits:
        """Never called: the data are their own twin."""
        raise NotImplementedError("Generated data need no stand-in.")


class Quadratic(GeneratedDataSet):
    """Normally distributed vectors of 100 numbers with mean 0 and standard deviation 0.6.

    Drawn as the original does: 1000 for training with seed 42, 1000 for testing with seed 43.
    """

    train_eval_size: ClassVar[int] = 1000

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Compute the examples; `data_dir` is not used."""
        del data_dir

        def draw(seed: int) -> torch.Tensor:
            sample = np.random.RandomState(seed).normal(0.0, 0.6, (1000, 100))
            return torch.from_numpy(sample.astype(np.float32))

        return Splits(train=(draw(42),), test=(draw(43),))


class TwoD(GeneratedDataSet):
    """Standard normal noise for two coordinates in training, zeros in testing.

    Drawn as the original does: with seed 42, first 10000 numbers x and then 10000 numbers y.
    """

    train_eval_size: ClassVar[int] = 10000

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Compute the examples; `data_dir` is not used."""
        del data_dir
        random = np.random.RandomState(42)
        x, y = (random.normal(0.0, 1.0, 10000) for _ in range(2))
        zeros = np.zeros(10000)

        def tensor(numbers: NDArray[np.float64]) -> torch.Tensor:
            return torch.from_numpy(numbers.astype(np.float32))

        return Splits(train=(tensor(x), tensor(y)), test=(tensor(zeros), tensor(zeros)))
