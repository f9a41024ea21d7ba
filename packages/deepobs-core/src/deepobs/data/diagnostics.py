"""The data of the diagnostic problems: inputs of known functions, and noise for gradients."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from deepobs.data.generated import GeneratedDataSet
from deepobs.data.tensor_dataset import Splits

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from deepobs.protocols import Batch

    Floats = NDArray[np.float64]

_SEED = 42
_TRAIN_SIZE, _TEST_SIZE = 1024, 128


class LinearMap(GeneratedDataSet):
    """Standard normal vectors `x` and their images `A x` under a fixed matrix.

    The test inputs are rows of orthogonal matrices, times the square root of their length: the mean
    of `x x^T` is the identity, so that the mean test loss of a matrix `W` is, without any error of
    sampling, `0.5 ||W - A||^2` in the Frobenius norm.

    Attributes:
        dimensions: Length of inputs and images.
        singular_values: Those of `A` that are not 0, decreasing.
    """

    train_eval_size: ClassVar[int] = _TRAIN_SIZE
    dimensions: ClassVar[int] = 16
    singular_values: ClassVar[tuple[float, ...]] = tuple(np.linspace(1.0, 0.25, 16).tolist())

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Compute the examples."""
        del data_dir
        random, size = np.random.RandomState(_SEED), cls.dimensions
        matrix_DD = cls.matrix(random)
        train_ND = random.normal(size=(_TRAIN_SIZE, size))
        rotations = [_rotation(random, size) for _ in range(_TEST_SIZE // size)]
        test_ND = np.sqrt(size) * np.concatenate(rotations)
        return Splits(
            train=_float32(train_ND, train_ND @ matrix_DD.T),
            test=_float32(test_ND, test_ND @ matrix_DD.T),
        )

    @classmethod
    def matrix(cls, random: np.random.RandomState) -> Floats:
        """The matrix `A`, whose singular vectors are drawn first of all."""
        rank = len(cls.singular_values)
        left_DR, right_DR = (_rotation(random, cls.dimensions)[:, :rank] for _ in range(2))
        matrix_DD: Floats = left_DR * np.array(cls.singular_values) @ right_DR.T
        return matrix_DD


class LowRankMap(LinearMap):
    """Standard normal vectors and their images under a matrix of rank 4 and condition 100."""

    dimensions: ClassVar[int] = 32
    singular_values: ClassVar[tuple[float, ...]] = tuple(np.logspace(0, -2, 4).tolist())


class SoftCommittee(GeneratedDataSet):
    """Standard normal vectors and the outputs of a teacher, the sum of three `erf(b x / sqrt(2))`.

    The weights `b` of its hidden units are orthonormal.
    """

    train_eval_size: ClassVar[int] = _TRAIN_SIZE
    dimensions: ClassVar[int] = 32
    units: ClassVar[int] = 3

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Compute the examples."""
        del data_dir
        random = np.random.RandomState(_SEED)
        teacher_UD = cls.teacher(random)
        splits = []
        for number in (_TRAIN_SIZE, 1024):
            x_ND = random.normal(size=(number, cls.dimensions))
            hidden_NU = torch.from_numpy(x_ND @ teacher_UD.T / np.sqrt(2))
            splits.append(_float32(x_ND, torch.erf(hidden_NU).sum(dim=1).numpy()))
        return Splits(train=splits[0], test=splits[1])

    @classmethod
    def teacher(cls, random: np.random.RandomState) -> Floats:
        """The weights of the teacher, which are drawn first of all."""
        return _rotation(random, cls.dimensions)[: cls.units]


class ZipfBags(GeneratedDataSet):
    """Bags of 4 of 512 rows, and the sum of the rows of a fixed table.

    Row `k` is drawn with a probability proportional to `1 / k`.
    """

    train_eval_size: ClassVar[int] = _TRAIN_SIZE
    rows: ClassVar[int] = 512
    bag: ClassVar[int] = 4
    dimensions: ClassVar[int] = 8

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Compute the examples."""
        del data_dir
        random = np.random.RandomState(_SEED)
        table_RD = random.normal(size=(cls.rows, cls.dimensions))
        chances_R = 1 / np.arange(1, cls.rows + 1)
        splits = []
        for number in (2 * _TRAIN_SIZE, _TRAIN_SIZE):
            # By the inverse of the distribution function: `choice` is no part of the stream that
            # NumPy guarantees.
            steps_R = np.cumsum(chances_R) / chances_R.sum()
            ids_NK = np.searchsorted(steps_R, random.uniform(size=(number, cls.bag)))
            sums_ND = _float32(table_RD[ids_NK].sum(axis=1))
            splits.append((torch.from_numpy(ids_NK.astype(np.int64)), *sums_ND))
        return Splits(train=splits[0], test=splits[1])


class GradientNoise(GeneratedDataSet):
    """Vectors that a problem adds to its gradient in training; zeros in every evaluation.

    Half of them are the negatives of the others, so that they add up to 0 in every epoch.
    """

    train_eval_size: ClassVar[int] = _TRAIN_SIZE
    dimensions: ClassVar[int]

    @classmethod
    @abstractmethod
    def noise(cls, random: np.random.RandomState, shape: tuple[int, int]) -> Floats:
        """Draw the vectors."""

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Compute the examples."""
        del data_dir
        half_ND = cls.noise(np.random.RandomState(_SEED), (_TRAIN_SIZE // 2, cls.dimensions))
        train = _float32(np.concatenate([half_ND, -half_ND]))
        return Splits(train=train, test=_float32(np.zeros((_TEST_SIZE, cls.dimensions))))

    def transform(self, batch: Batch) -> Batch:
        """Replace the noise by zeros, so that losses of evaluation are those of the function."""
        return tuple(torch.zeros_like(one) for one in super().transform(batch))

    def transform_training(self, batch: Batch) -> Batch:
        """Keep the noise."""
        return super().transform(batch)


class GaussianNoise(GradientNoise):
    """Normally distributed noise with standard deviation 0.1."""

    dimensions: ClassVar[int] = 16

    @classmethod
    def noise(cls, random: np.random.RandomState, shape: tuple[int, int]) -> Floats:
        """Draw the vectors."""
        return random.normal(0.0, 0.1, shape)


class HeavyTailedNoise(GradientNoise):
    """Noise with Student's distribution of 2 degrees of freedom, whose variance is infinite."""

    dimensions: ClassVar[int] = 32

    @classmethod
    def noise(cls, random: np.random.RandomState, shape: tuple[int, int]) -> Floats:
        """Draw the vectors."""
        return 0.1 * random.standard_t(2, shape)


def _rotation(random: np.random.RandomState, size: int) -> Floats:
    """A uniformly distributed orthogonal matrix."""
    orthogonal, triangular = np.linalg.qr(random.normal(size=(size, size)))
    # The signs that QR decompositions of different libraries choose differ.
    rotation: Floats = orthogonal * np.sign(np.diag(triangular))
    return rotation


def _float32(*arrays: Floats) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array.astype(np.float32)) for array in arrays)
