"""Data sets small enough to live in memory on the device."""

from __future__ import annotations

import functools
import hashlib
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepobs.data.base import BaseDataSet
from deepobs.data.loader import TensorLoader

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from deepobs.protocols import Batch, Loader

Examples = tuple[Tensor, ...]
"""Tensors of equal length: one row of each makes an example."""


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


class TensorDataSet(BaseDataSet[Examples]):
    """A data set whose splits are tensors on the device, gathered a batch at a time.

    A subclass says how to load the examples, how to make synthetic ones of the same shapes, and
    what to make of a stored batch. Arguments and attributes are those of `BaseDataSet`.
    """

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

    @staticmethod
    def count(examples: Examples) -> int:
        """How many examples there are."""
        return len(examples[0])

    @staticmethod
    def choose(examples: Examples, rows: NDArray[np.int64]) -> Examples:
        """Some of the examples, in tensors of their own.

        Args:
            examples: Where to choose from.
            rows: Which ones, increasing.
        """
        index = torch.from_numpy(rows)
        return tuple(tensor.index_select(0, index) for tensor in examples)

    def training_loader(self, examples: Examples, *, reshuffle: bool) -> Loader:
        """What yields full batches in random order, through `transform_training`.

        Args:
            examples: Those to train on.
            reshuffle: Whether every pass has a new order, or all have that of the first.
        """
        return TensorLoader(
            self._on_device(examples),
            self.batch_size,
            generator=self.generator,
            reshuffle=reshuffle,
            transform=self.transform_training,
        )

    def evaluation_loader(self, examples: Examples, *, drop_remainder: bool) -> Loader:
        """What yields batches in the order of the examples, through `transform`.

        Args:
            examples: Those to evaluate on.
            drop_remainder: Whether to leave out the last, smaller batch.
        """
        return TensorLoader(
            self._on_device(examples),
            self.batch_size,
            drop_remainder=drop_remainder,
            transform=self.transform,
        )

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

    def _on_device(self, examples: Examples) -> Examples:
        return tuple(tensor.to(self.device) for tensor in examples)
