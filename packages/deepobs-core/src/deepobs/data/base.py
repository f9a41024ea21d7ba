"""What all data sets have in common: four splits of which two are parts of the training set."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np

from deepobs import checks, config
from deepobs.data.loader import seeded_generator
from deepobs.plugins.catalog import bound

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from deepobs.data.files import DataStatus
    from deepobs.plugins import DatasetSpec
    from deepobs.protocols import Loader

ExamplesT = TypeVar("ExamplesT")
_ExamplesT_co = TypeVar("_ExamplesT_co", covariant=True)

_log = logging.getLogger(__name__)

_SPLIT_SEED = 42
"""Which training examples are held out or evaluated on never depends on the seed of a run."""


class StoredSplits(Protocol[_ExamplesT_co]):
    """The examples as they are stored: the training and the test set."""

    @property
    def train(self) -> _ExamplesT_co:
        """The training set, of which `train_eval` and `valid` are parts."""
        ...

    @property
    def test(self) -> _ExamplesT_co:
        """The test set."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digits that are the same wherever the same data are used."""
        ...


class BaseDataSet(ABC, Generic[ExamplesT]):
    """A data set divided into splits, whatever examples are made of.

    A subclass says how to load the examples, how to make synthetic ones of the same shapes, how to
    choose some of them, and what loads batches of them.

    Args:
        batch_size: Examples a batch.
        device: Where the batches live; `None` for `config.get_default_device()`.
        validation_size: Number of training examples that `valid_loader` holds out.
        drop_remainder: Whether evaluation leaves out the last, smaller batch; training always does.
        reshuffle: Whether every pass over the training set has a new order, or all have the same.

    Attributes:
        spec: The description it is registered with.
        train_eval_size: How many training examples the training loss is measured on.
        has_fake_twin: Whether `make_fake` stands in on request; generated data are their own twin.
        dtype: The floating-point type of what the loaders yield, `config.get_dtype()` at the start.
        is_fake: Whether the examples are synthetic stand-ins.
        fingerprint: SHA-256 of the stored examples, or of the names of their files where there are
            too many; the same wherever the same data are used.
        generator: Draws what is random about training examples: their order and augmentation.
        split_sizes: How many examples lie in each split, before any remainder is dropped.
        train_loader: The training examples in random order.
        train_eval_loader: A fixed part of the training examples.
        valid_loader: The examples held out, `None` where there are none.
        test_loader: The test examples, in the order in which they are stored.

    Raises:
        ArgumentError: The batch size or the validation size does not fit the data.
        DataError: The data are missing or broken.
    """

    spec: ClassVar[DatasetSpec]
    train_eval_size: ClassVar[int]
    has_fake_twin: ClassVar[bool] = True
    train_loader: Loader
    train_eval_loader: Loader
    valid_loader: Loader | None
    test_loader: Loader

    def __init__(
        self,
        batch_size: int,
        *,
        device: str | torch.device | None = None,
        validation_size: int = 0,
        drop_remainder: bool = True,
        reshuffle: bool = True,
    ) -> None:
        self.batch_size = checks.integer("batch_size", batch_size, least=1)
        self.device = config.resolve_device(device)
        fraction = config.get_fake_data_fraction()
        self.is_fake = fraction > 0 and self.has_fake_twin
        splits = self.make_fake(fraction) if self.is_fake else self.load(config.get_data_dir())
        self._remember(splits)
        self.fingerprint = splits.fingerprint
        if not self.is_fake:
            self._warn_of_other_sizes(self.count(splits.train), self.count(splits.test))
        parts = self._parts(splits, checks.integer("validation_size", validation_size, least=0))
        self.split_sizes = {name: self.count(part) for name, part in parts.items()}
        self._check_batch_size()
        self.dtype = config.get_dtype()
        self.generator = seeded_generator()
        self.train_loader = self.training_loader(parts.pop("train"), reshuffle=reshuffle)
        evaluation_loaders = {
            name: self.evaluation_loader(part, drop_remainder=drop_remainder)
            for name, part in parts.items()
        }
        self.train_eval_loader = evaluation_loaders["train_eval"]
        self.valid_loader = evaluation_loaders.get("valid")
        self.test_loader = evaluation_loaders["test"]

    @classmethod
    def bind(cls, spec: DatasetSpec) -> type[Self]:
        """Make the subclass that stands for one registered data set.

        Args:
            spec: The description of the data set.
        """
        return bound(cls, spec, "deepobs.pytorch.datasets")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_size={self.batch_size}, device='{self.device}')"

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return self.spec.name

    @classmethod
    @abstractmethod
    def load(cls, data_dir: Path) -> StoredSplits[ExamplesT]:
        """Read the real examples, or find out where they are.

        Args:
            data_dir: Where data sets are kept.

        Raises:
            DataError: They are missing or broken.
        """

    @classmethod
    @abstractmethod
    def make_fake(cls, fraction: float) -> StoredSplits[ExamplesT]:
        """Make synthetic examples with the real shapes and ranges.

        Args:
            fraction: The size of each split as a fraction of the real one, in (0, 1].
        """

    @staticmethod
    @abstractmethod
    def count(examples: ExamplesT) -> int:
        """How many examples there are."""

    @staticmethod
    @abstractmethod
    def choose(examples: ExamplesT, rows: NDArray[np.int64]) -> ExamplesT:
        """Some of the examples.

        Args:
            examples: Where to choose from.
            rows: Which ones, increasing.
        """

    @abstractmethod
    def training_loader(self, examples: ExamplesT, *, reshuffle: bool) -> Loader:
        """What yields full batches in an order that `generator` draws, augmented if at all.

        Args:
            examples: Those to train on.
            reshuffle: Whether every pass has a new order, or all have that of the first.
        """

    @abstractmethod
    def evaluation_loader(self, examples: ExamplesT, *, drop_remainder: bool) -> Loader:
        """What yields batches in the order of the examples, never augmented.

        Args:
            examples: Those to evaluate on.
            drop_remainder: Whether to leave out the last, smaller batch.
        """

    @classmethod
    @abstractmethod
    def status(cls, data_dir: Path) -> DataStatus:
        """Say whether the data are there, without reading all of them."""

    @classmethod
    @abstractmethod
    def prepare(cls, data_dir: Path) -> DataStatus:
        """Download what is missing, and check it.

        Raises:
            DataError: It could not be had.
        """

    @classmethod
    @abstractmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Read all of the data and check what can be checked.

        Raises:
            DataError: They are missing or broken.
        """

    @classmethod
    def described_sizes(cls, train_size: int, test_size: int) -> str:
        """Say how many examples there are, and how many were published if those are others.

        Args:
            train_size: Examples of the training set.
            test_size: Examples of the test set.
        """
        sizes = f"{train_size} training and {test_size} test examples"
        if cls._has_published_sizes(train_size, test_size):
            return sizes
        return f"{sizes} (published were {cls.spec.train_size} and {cls.spec.test_size})"

    def _remember(self, splits: StoredSplits[ExamplesT]) -> None:
        """Keep what a subclass knows about the data besides the examples: here, nothing."""

    def _parts(self, splits: StoredSplits[ExamplesT], validation_size: int) -> dict[str, ExamplesT]:
        """Divide the training examples: held out, evaluated on, and the rest."""
        total = self.count(splits.train)
        checks.integer("validation_size", validation_size, least=0, most=total - 1)
        # NumPy promises to keep this stream, so that later versions hold out the same examples.
        shuffled = np.random.RandomState(_SPLIT_SEED).permutation(total)
        held_out, kept = shuffled[:validation_size], shuffled[validation_size:]
        rows = {"train": kept, "train_eval": kept[max(len(kept) - self.train_eval_size, 0) :]}
        if validation_size:
            rows["valid"] = held_out
        parts = {name: self._chosen(splits.train, chosen) for name, chosen in rows.items()}
        return parts | {"test": splits.test}

    def _chosen(self, examples: ExamplesT, rows: NDArray[np.int64]) -> ExamplesT:
        """The chosen examples in the order in which they lie; all of them without a copy."""
        return (
            examples if len(rows) == self.count(examples) else self.choose(examples, np.sort(rows))
        )

    def _warn_of_other_sizes(self, train_size: int, test_size: int) -> None:
        if not self._has_published_sizes(train_size, test_size):
            _log.warning(
                "The data set %s has %s: results on it do not compare with others.",
                self.name,
                self.described_sizes(train_size, test_size),
            )

    @classmethod
    def _has_published_sizes(cls, train_size: int, test_size: int) -> bool:
        return (train_size, test_size) == (cls.spec.train_size, cls.spec.test_size)

    def _check_batch_size(self) -> None:
        checks.check_batch_size(self.batch_size, self.split_sizes, self.name)
