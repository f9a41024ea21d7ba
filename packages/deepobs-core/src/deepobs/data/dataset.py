"""Data sets small enough to live in memory on the device."""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from deepobs import checks, config
from deepobs.data.loader import TensorLoader, seeded_generator
from deepobs.errors import ArgumentError
from deepobs.plugins.binding import bound

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.data.files import DataStatus
    from deepobs.plugins import DatasetSpec
    from deepobs.protocols import Batch

Examples = tuple[Tensor, ...]
"""Tensors of equal length: one row of each makes an example."""

_SPLIT_SEED = 42
"""Which training examples are held out or evaluated on never depends on the seed of a run."""


@dataclass(frozen=True, eq=False)
class Splits:
    """The examples as they are stored, on the CPU: the training and the test set."""

    train: Examples
    test: Examples

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of types, shapes and values, in hexadecimal digits."""
        digest = hashlib.sha256()
        for tensor in (*self.train, *self.test):
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


class TensorDataSet(ABC):
    """A data set whose splits are tensors on the device, gathered a batch at a time.

    A subclass says how to load the examples, how to make synthetic ones of the same shapes, and
    what to make of a stored batch.

    Args:
        batch_size: Examples a batch.
        device: Where the tensors live; `None` for `config.get_default_device()`.
        validation_size: Number of training examples that `valid_loader` holds out.
        drop_remainder: Whether evaluation leaves out the last, smaller batch; training always does.
        reshuffle: Whether every pass over the training set has a new order, or all have the same.

    Attributes:
        spec: The description it is registered with.
        train_eval_size: How many training examples the training loss is measured on.
        has_fake_twin: Whether `make_fake` stands in on request; generated data are their own twin.
        dtype: The floating-point type of what the loaders yield, `config.get_dtype()` at the start.
        is_fake: Whether the examples are synthetic stand-ins.
        fingerprint: SHA-256 of the stored examples, the same wherever the same data are used.
        generator: Draws what is random about training examples: their order and augmentation.
        train_loader: The training examples in random order.
        train_eval_loader: A fixed part of the training examples.
        valid_loader: The examples held out, `None` where there are none.
        test_loader: The test examples, in the order of the file.

    Raises:
        ArgumentError: The batch size or the validation size does not fit the data.
        DataError: The data are missing or broken.
    """

    spec: ClassVar[DatasetSpec]
    train_eval_size: ClassVar[int]
    has_fake_twin: ClassVar[bool] = True

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
        parts = self._parts(splits, checks.integer("validation_size", validation_size, least=0))
        self._check_batch_size(parts)
        self.dtype = config.get_dtype()
        on_device = {
            name: tuple(tensor.to(self.device) for tensor in examples)
            for name, examples in parts.items()
        }

        def evaluation_loader(examples: Examples) -> TensorLoader:
            return TensorLoader(
                examples,
                self.batch_size,
                drop_remainder=drop_remainder,
                transform=self.transform,
            )

        self.generator = seeded_generator()
        self.train_loader = TensorLoader(
            on_device["train"],
            self.batch_size,
            generator=self.generator,
            reshuffle=reshuffle,
            transform=self.transform_training,
        )
        self.train_eval_loader = evaluation_loader(on_device["train_eval"])
        self.valid_loader = evaluation_loader(on_device["valid"]) if validation_size else None
        self.test_loader = evaluation_loader(on_device["test"])

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

    @property
    def split_sizes(self) -> dict[str, int]:
        """How many examples lie in each split, before any remainder is dropped."""
        loaders = {
            "train": self.train_loader,
            "train_eval": self.train_eval_loader,
            "valid": self.valid_loader,
            "test": self.test_loader,
        }
        return {
            name: len(loader.tensors[0]) for name, loader in loaders.items() if loader is not None
        }

    @classmethod
    @abstractmethod
    def load(cls, data_dir: Path) -> Splits:
        """Read the real examples.

        Args:
            data_dir: Where data sets are kept.

        Raises:
            DataError: They are missing or broken.
        """

    @classmethod
    @abstractmethod
    def make_fake(cls, fraction: float) -> Splits:
        """Make synthetic examples with the real shapes and ranges.

        Args:
            fraction: The size of each split as a fraction of the real one, in (0, 1].
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

    def transform(self, batch: Batch) -> Batch:
        """Make what a loader yields of what lies in memory: here, floats of the chosen type.

        Args:
            batch: The stored examples of one or more batches.
        """
        return tuple(
            tensor.to(self.dtype) if tensor.is_floating_point() else tensor for tensor in batch
        )

    def transform_training(self, batch: Batch) -> Batch:
        """Make what `train_loader` yields; the same as of others, unless a subclass augments.

        What is random about it is drawn from `generator`, on the CPU, so that a seed means the same
        examples on every device.

        Args:
            batch: The stored examples of one or more batches.
        """
        return self.transform(batch)

    def _parts(self, splits: Splits, validation_size: int) -> dict[str, Examples]:
        """Divide the training examples: held out, evaluated on, and the rest."""
        total = len(splits.train[0])
        checks.integer("validation_size", validation_size, least=0, most=total - 1)
        # NumPy promises to keep this stream, so that later versions hold out the same examples.
        shuffled = np.random.RandomState(_SPLIT_SEED).permutation(total)
        held_out, kept = shuffled[:validation_size], shuffled[validation_size:]
        evaluated = kept[max(len(kept) - self.train_eval_size, 0) :]
        return {
            "train": _rows(splits.train, kept),
            "train_eval": _rows(splits.train, evaluated),
            "valid": _rows(splits.train, held_out),
            "test": splits.test,
        }

    def _check_batch_size(self, parts: dict[str, Examples]) -> None:
        sizes = {name: len(examples[0]) for name, examples in parts.items() if len(examples[0])}
        smallest = min(sizes, key=lambda name: sizes[name])
        if self.batch_size > sizes[smallest]:
            held_out = f" ({sizes['valid']} examples are held out)" if "valid" in sizes else ""
            raise ArgumentError(
                f"batch_size must be from 1 to {sizes[smallest]}, the size of the {smallest} split "
                f"of {self.name}{held_out}; got {self.batch_size}."
            )


def _rows(examples: Examples, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Examples:
    """The chosen examples in the order in which they lie; all of them without a copy."""
    if len(rows) == len(examples[0]):
        return examples
    index = torch.from_numpy(np.sort(rows))
    return tuple(tensor.index_select(0, index) for tensor in examples)
