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

    from deepobs.data.tensor_dataset import Examples
    from deepobs.protocols import Batch, Loader

    Floats = NDArray[np.float64]

_SEED = 42
_TRAIN_SIZE, _TEST_SIZE = 1024, 128


class LinearMap(GeneratedDataSet):
    """Standard normal vectors `x` and their images `A x` under a fixed matrix.

    The test inputs are rows of orthogonal matrices, times the square root of their length: the mean
    of `x x^T` is the identity, so that the mean test loss of a matrix `W` is, without any error of
    sampling, `0.5 ||W - A||^2` in the Frobenius norm. Batches that do not divide the 128 test
    inputs leave some of them out, and so do not have this property.

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

    Row `k` has a part of the places in bags that is proportional to `1 / k`, and four places at
    least in those of training: so the table follows from most of the bags, and the loss on others
    can get to 0.
    """

    train_eval_size: ClassVar[int] = _TRAIN_SIZE
    rows: ClassVar[int] = 512
    bag: ClassVar[int] = 4
    least_places: ClassVar[int] = 4
    dimensions: ClassVar[int] = 8

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Compute the examples."""
        del data_dir
        random = np.random.RandomState(_SEED)
        table_RD = random.normal(size=(cls.rows, cls.dimensions))
        splits = []
        for number, least in ((2 * _TRAIN_SIZE, cls.least_places), (_TRAIN_SIZE, 0)):
            places = random.permutation(cls._places(number * cls.bag, least))
            ids_NK = places.reshape(number, cls.bag)
            sums_ND = _float32(table_RD[ids_NK].sum(axis=1))
            splits.append((torch.from_numpy(ids_NK), *sums_ND))
        return Splits(train=splits[0], test=splits[1])

    @classmethod
    def _places(cls, number: int, least: int) -> NDArray[np.int64]:
        """The row in each of the places, sorted."""
        parts_R = 1 / np.arange(1, cls.rows + 1)
        further = number - least * cls.rows
        # Not drawn, so that how often a row occurs is no matter of luck.
        ends_R = np.round(np.cumsum(parts_R) / parts_R.sum() * further).astype(np.int64)
        return np.repeat(np.arange(cls.rows, dtype=np.int64), least + np.diff(ends_R, prepend=0))


class GradientNoise(GeneratedDataSet):
    """Vectors that a problem adds to its gradient in training; zeros in every evaluation.

    So losses of validation are those of the function, as on the test set. Half of the vectors are
    the negatives of the others, so that they add up to 0; where some are held out or left out, the
    mean of the rest is subtracted. Else the minimum of the training loss would be another one.
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

    def training_loader(self, examples: Examples, *, reshuffle: bool) -> Loader:
        """Build the loader of noise that adds up to 0."""
        centered = tuple((one.double() - one.double().mean(dim=0)).to(one) for one in examples)
        return super().training_loader(centered, reshuffle=reshuffle)

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
    """Normal vectors whose lengths have a Pareto tail of index 1.2, and so an infinite variance.

    Of batches of 32, the noise of one in a hundred is ten times as large as the median. With an
    index of 2, or coordinates that are drawn each on its own, the mean of a batch hides the tail.
    """

    dimensions: ClassVar[int] = 32
    tail_index: ClassVar[float] = 1.2

    @classmethod
    def noise(cls, random: np.random.RandomState, shape: tuple[int, int]) -> Floats:
        """Draw the directions; the lengths are quantiles, so that no luck is in the largest one."""
        ranks_N1 = (np.arange(shape[0])[:, None] + 0.5) / shape[0]
        return random.normal(0.0, 0.06, shape) * ranks_N1 ** (-1 / cls.tail_index)


def _rotation(random: np.random.RandomState, size: int) -> Floats:
    """A uniformly distributed orthogonal matrix."""
    orthogonal, triangular = np.linalg.qr(random.normal(size=(size, size)))
    # The signs that QR decompositions of different libraries choose differ.
    rotation: Floats = orthogonal * np.sign(np.diag(triangular))
    return rotation


def _float32(*arrays: Floats) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array.astype(np.float32)) for array in arrays)
