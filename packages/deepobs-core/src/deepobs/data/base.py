"""Base class of all data sets: four splits, two of them taken from the training set."""

from __future__ import annotations

import functools
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, Protocol, Self, TypeVar

import numpy as np

from deepobs import checks, config
from deepobs.data.loader import seeded_generator
from deepobs.plugins.catalog import bound

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from deepobs.plugins import DatasetSpec
    from deepobs.protocols import Loader

ExamplesT = TypeVar("ExamplesT")
_ExamplesT_co = TypeVar("_ExamplesT_co", covariant=True)

_log = logging.getLogger(__name__)

_SPLIT_SEED = 42


@dataclass(frozen=True, slots=True)
class DataStatus:
    """Whether a data set can be used.

    Attributes:
        state: `ready`; `embedded` in a package or generated, so always available; or `missing`.
        detail: What was found or what is missing, in one line.
        path: The directory it was found in or would be downloaded to, `None` if not applicable.
    """

    state: Literal["ready", "embedded", "missing"]
    detail: str
    path: Path | None = None


class StoredSplits(Protocol[_ExamplesT_co]):
    """The stored examples: training set and test set."""

    @property
    def train(self) -> _ExamplesT_co:
        """The training set, from which `train_eval` and `valid` are taken."""
        ...

    @property
    def test(self) -> _ExamplesT_co:
        """The test set."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest that is equal wherever the data are equal."""
        ...


class BaseDataSet(ABC, Generic[ExamplesT]):
    """A data set divided into splits, for any representation of examples.

    A subclass loads the examples, makes synthetic ones of the same shapes, selects subsets, and
    builds the loaders.

    Args:
        batch_size: Examples per batch.
        device: Device of the batches; `None` for `config.get_default_device()`.
        validation_size: Number of training examples held out for `valid_loader`.
        drop_remainder: Whether evaluation drops the last, smaller batch; training always does.
        reshuffle: Whether each pass over the training set has a new order or all share the first.

    Attributes:
        spec: The specification it is registered with.
        train_eval_size: Number of training examples that the training loss is evaluated on.
        has_fake_twin: Whether `make_fake` is used on request; generated data are their own twin.
        dtype: Floating-point type of the batches, `config.get_dtype()` at construction.
        is_fake: Whether the examples are synthetic stand-ins.
        fingerprint: SHA-256 of the stored examples, or of their file names if there are too many.
        generator: Source of all randomness of the training examples: order and augmentation.
        split_sizes: Number of examples in each split, before any remainder is dropped.
        train_loader: The training examples in random order.
        train_eval_loader: A fixed subset of the training examples.
        valid_loader: The held-out examples, `None` without any.
        test_loader: The test examples in stored order.

    Raises:
        ArgumentError: The batch size or the validation size does not fit the data.
        DataError: The data are missing or corrupt.
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
        self.fingerprint = splits.fingerprint
        # Part of a published data set is accepted, for trials, but must not pass for all of it.
        sizes = self.count(splits.train), self.count(splits.test)
        if not self.is_fake and sizes != (self.spec.train_size, self.spec.test_size):
            _log.warning(
                "The data set %s has %s: results on it are not comparable to others.",
                self.name,
                self.described_sizes(*sizes),
            )
        parts = self._parts(splits, checks.integer("validation_size", validation_size, least=0))
        self.split_sizes = {name: self.count(part) for name, part in parts.items()}
        self._check_batch_size()
        self.dtype = config.get_dtype()
        # The order of the data must not depend on how many random numbers the model draws.
        self.generator = seeded_generator()
        self.train_loader = self.training_loader(parts["train"], reshuffle=reshuffle)
        evaluated = functools.partial(self.evaluation_loader, drop_remainder=drop_remainder)
        self.train_eval_loader = evaluated(parts["train_eval"])
        self.valid_loader = evaluated(parts["valid"]) if "valid" in parts else None
        self.test_loader = evaluated(parts["test"])

    @classmethod
    def bind(cls, spec: DatasetSpec) -> type[Self]:
        """Create the subclass of a registered data set."""
        return bound(cls, spec, "deepobs.pytorch.datasets")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_size={self.batch_size}, device='{self.device}')"

    @property
    def name(self) -> str:
        """The registered name."""
        return self.spec.name

    @classmethod
    @abstractmethod
    def load(cls, data_dir: Path) -> StoredSplits[ExamplesT]:
        """Read or locate the real examples.

        Raises:
            DataError: They are missing or corrupt.
        """

    @classmethod
    @abstractmethod
    def make_fake(cls, fraction: float) -> StoredSplits[ExamplesT]:
        """Create synthetic examples with the real shapes and ranges.

        Args:
            fraction: Size of each split as a fraction of the real one, in (0, 1].
        """

    @staticmethod
    @abstractmethod
    def count(examples: ExamplesT) -> int:
        """Number of examples."""

    @staticmethod
    @abstractmethod
    def choose(examples: ExamplesT, rows: NDArray[np.int64]) -> ExamplesT:
        """Select examples by increasing row numbers."""

    @abstractmethod
    def training_loader(self, examples: ExamplesT, *, reshuffle: bool) -> Loader:
        """Build the loader of full, possibly augmented batches in an order drawn by `generator`."""

    @abstractmethod
    def evaluation_loader(self, examples: ExamplesT, *, drop_remainder: bool) -> Loader:
        """Build a loader of batches in stored order, never augmented."""

    @classmethod
    @abstractmethod
    def status(cls, data_dir: Path) -> DataStatus:
        """Check whether the data are present, without reading all of them."""

    @classmethod
    @abstractmethod
    def prepare(cls, data_dir: Path) -> DataStatus:
        """Download what is missing and verify it; raise `DataError` if that fails."""

    @classmethod
    @abstractmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Read and check all of the data; raise `DataError` if missing or corrupt."""

    @classmethod
    def described_sizes(cls, train_size: int, test_size: int) -> str:
        """Describe the numbers of examples, with the published ones if they differ."""
        sizes = f"{train_size} training and {test_size} test examples"
        if (train_size, test_size) == (cls.spec.train_size, cls.spec.test_size):
            return sizes
        return f"{sizes} (published were {cls.spec.train_size} and {cls.spec.test_size})"

    def _parts(self, splits: StoredSplits[ExamplesT], validation_size: int) -> dict[str, ExamplesT]:
        """Divide the training examples: held out, evaluated on, and the rest."""
        total = self.count(splits.train)
        checks.integer("validation_size", validation_size, least=0, most=total - 1)
        # The seed of a run must not matter: runs of different seeds are tuned on the same examples.
        # And NumPy guarantees the stream of RandomState, so later versions split alike.
        shuffled = np.random.RandomState(_SPLIT_SEED).permutation(total)
        held_out, kept = shuffled[:validation_size], shuffled[validation_size:]
        rows = {"train": kept, "train_eval": kept[max(len(kept) - self.train_eval_size, 0) :]}
        if validation_size:
            rows["valid"] = held_out
        # In stored order, and all of the examples without a copy.
        parts = {
            name: self.choose(splits.train, np.sort(part)) if len(part) < total else splits.train
            for name, part in rows.items()
        }
        return parts | {"test": splits.test}

    def _check_batch_size(self) -> None:
        checks.check_batch_size(self.batch_size, self.split_sizes, self.name)
