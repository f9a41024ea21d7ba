"""Base classes of all data sets, with four splits, and of the loaders of their batches."""

from __future__ import annotations

import functools
import itertools
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler, default_collate

from deepobs import checks, config
from deepobs.plugins.catalog import Registered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from numpy.typing import NDArray

    from deepobs.plugins import DatasetSpec
    from deepobs.protocols import Batch, Loader

    _ExamplesT_co = TypeVar("_ExamplesT_co", covariant=True)

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


ExamplesT = TypeVar("ExamplesT")

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


class BaseDataSet(Registered, ABC, Generic[ExamplesT]):
    """A data set divided into splits, for any representation of examples.

    A subclass loads the examples, makes synthetic ones of the same shapes, selects subsets, and
    builds the loaders.

    Args:
        batch_size: Examples per batch.
        device: Device of the batches; `None` for `config.get_default_device()`.
        validation_size: Number of training examples held out for `valid_loader`.
        drop_remainder: Whether evaluation drops the last, smaller batch; training always does.
        reshuffle: Whether each pass over the training set has a new order or all share the first.
        train_fraction: Part of the training examples that are not held out which is used.

    Attributes:
        spec: The specification it is registered with.
        train_eval_size: Number of training examples that the training loss is evaluated on.
        has_fake_twin: Whether `make_fake` is used on request; generated data are their own twin.
        dtype: Floating-point type of the batches, `config.get_dtype()` at construction.
        is_fake: Whether the examples are synthetic stand-ins.
        fingerprint: SHA-256 of the stored examples, or of their file names if there are too many.
        generator: Source of all randomness of the training examples: order and augmentation.
        split_sizes: Number of examples in each split, before any remainder is dropped.
        train_loader: The training examples in random order. Each loader is a `DataLoader` of torch.
        train_eval_loader: A fixed subset of the training examples.
        valid_loader: The held-out examples, `None` without any.
        test_loader: The test examples in stored order.

    Raises:
        ArgumentError: The batch size or the validation size does not fit the data.
        DataError: The data are missing or corrupt.
    """

    facade: ClassVar[str] = "deepobs.pytorch.datasets"
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
        train_fraction: float = 1.0,
    ) -> None:
        self.train_fraction = checks.fraction("train_fraction", train_fraction)
        self.batch_size = checks.integer("batch_size", batch_size, least=1)
        self.device = config.resolve_device(device)
        fraction = config.get_fake_data_fraction()
        self.is_fake = fraction > 0 and self.has_fake_twin
        if self.is_fake:
            splits = self.make_fake(fraction)
        else:
            # A wrong directory of the user must not keep anybody from data that are in none.
            splits = self.load(Path() if self.spec.embedded else config.get_data_dir())
        self.fingerprint = splits.fingerprint
        # Part of a published data set is accepted, for trials, but must not pass for all of it.
        sizes = self.count(splits.train), self.count(splits.test)
        if not self.is_fake and sizes != (self.spec.train_size, self.spec.test_size):
            _log.warning(
                "The data set %s has %s: results on it are not comparable to others.",
                self.name,
                self.described_sizes(*sizes),
            )
        parts = self._parts(splits, validation_size)
        self.split_sizes = {name: self.count(part) for name, part in parts.items()}
        checks.check_batch_size(self.batch_size, self.split_sizes, self.name)
        self.dtype = config.get_dtype()
        # The order of the data must not depend on how many random numbers the model draws.
        self.generator = seeded_generator()
        self.train_loader = self.training_loader(parts["train"], reshuffle=reshuffle)
        evaluated = functools.partial(self.evaluation_loader, drop_remainder=drop_remainder)
        self.train_eval_loader = evaluated(parts["train_eval"])
        self.valid_loader = evaluated(parts["valid"]) if "valid" in parts else None
        self.test_loader = evaluated(parts["test"])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_size={self.batch_size}, device='{self.device}')"

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
        held = checks.integer("validation_size", validation_size, least=0, most=total - 1)
        # The seed of a run must not matter: runs of different seeds are tuned on the same examples.
        # And NumPy guarantees the stream of RandomState, so later versions split alike.
        shuffled = np.random.RandomState(_SPLIT_SEED).permutation(total)
        # Of the same order: the examples of a smaller fraction are among those of a larger one.
        kept_size = part_of(total - held, self.train_fraction)
        held_out, kept = shuffled[:held], shuffled[held : held + kept_size]
        rows = {"train": kept, "train_eval": kept[max(len(kept) - self.train_eval_size, 0) :]}
        if held:
            rows["valid"] = held_out
        # In stored order, and all of the examples without a copy.
        parts = {
            name: self.choose(splits.train, np.sort(part)) if len(part) < total else splits.train
            for name, part in rows.items()
        }
        return parts | {"test": splits.test}


def part_of(size: int, fraction: float) -> int:
    """The number of examples in a fraction of them, at least one."""
    return max(1, round(fraction * size))


class RandomOrder(RandomSampler):
    """Rows in an order drawn by a generator, the same in all passes unless it is to `reshuffle`."""

    def __init__(
        self, dataset: Dataset[Batch], generator: torch.Generator, *, reshuffle: bool
    ) -> None:
        super().__init__(dataset, generator=generator)  # type: ignore[arg-type] # it has a length
        self.reshuffle = reshuffle
        self.kept: torch.Tensor | None = None

    def __iter__(self) -> Iterator[int]:
        """Start a new pass."""
        return iter(self.draw().tolist())

    def draw(self) -> torch.Tensor:
        """Draw the rows of a new pass, on the CPU."""
        if self.kept is not None:
            return self.kept
        # Drawn on the CPU: a seed must mean the same order on every device.
        order = torch.randperm(self.num_samples, generator=self.generator, device="cpu")
        self.kept = None if self.reshuffle else order
        return order


class ShuffledLoader(DataLoader[Any], ABC):
    """Yields batches of examples in stored or random order.

    A subclass implements a pass; `draw_order` provides its order. The attributes are those of
    torch's loader, so that one built from them yields the same batches, only slower.

    Args:
        dataset: The examples.
        batch_size: Examples per batch.
        generator: CPU generator of the randomness of a pass; `None` for stored order.
        reshuffle: Whether each pass has a new order or all share the first.
        drop_remainder: Whether a pass drops the last, smaller batch.
        pin_memory: Whether batches are copied to the device from page-locked memory.

    Attributes:
        num_examples: Number of examples that a pass yields.
    """

    batch_size: int

    def __init__(
        self,
        dataset: Dataset[Batch],
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        reshuffle: bool = True,
        drop_remainder: bool = True,
        pin_memory: bool = False,
    ) -> None:
        order = None if generator is None else RandomOrder(dataset, generator, reshuffle=reshuffle)
        super().__init__(
            dataset,
            batch_size,
            sampler=order,
            generator=generator,
            drop_last=drop_remainder,
            pin_memory=pin_memory,
            collate_fn=collate,
        )
        total = len(self.sampler)  # type: ignore[arg-type] # torch's samplers of rows have a length
        self.num_examples = total - (total % batch_size if drop_remainder else 0)

    @abstractmethod
    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override] # any iterator will do
        """Start a new pass, in random order if there is a generator."""

    def batches_from(self, number: int) -> Iterator[Batch]:
        """Start a new pass and skip its first batches."""
        # Their random numbers are drawn nevertheless: a resumed pass must continue bit by bit.
        return itertools.islice(self, number, None)

    def draw_order(self) -> torch.Tensor | None:
        """Draw the rows of a new pass, on the CPU; `None` for stored order."""
        if not isinstance(self.sampler, RandomOrder):
            return None
        # Drawn whole, although a part is used, so that every example has the same chance.
        return self.sampler.draw()[: self.num_examples]

    def state_dict(self) -> dict[str, Any]:
        """Return what the next pass depends on."""
        if not isinstance(self.sampler, RandomOrder):
            return {}
        return {"generator": self.sampler.generator.get_state(), "order": self.sampler.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next pass the one that followed the call of `state_dict`."""
        if isinstance(self.sampler, RandomOrder):
            self.sampler.generator.set_state(state["generator"])
            self.sampler.kept = state["order"]


def collate(examples: list[Batch]) -> Batch:
    """Join examples to a batch as torch does, but to a tuple."""
    return tuple(default_collate(examples))


def seeded_generator() -> torch.Generator:
    """Create a generator for the data, seeded from torch's global generator."""
    seed = int(torch.randint(2**63 - 1, (), dtype=torch.int64, device="cpu"))
    return torch.Generator(device="cpu").manual_seed(seed)
