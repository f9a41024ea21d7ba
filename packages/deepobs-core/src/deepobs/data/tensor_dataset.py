"""Data sets small enough to reside in memory on the device, and the loader of their batches."""

from __future__ import annotations

import functools
import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from deepobs.data.base import BaseDataSet, DataStatus, ShuffledLoader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from deepobs.protocols import Batch, Loader

Examples = tuple[Tensor, ...]
"""Tensors of equal length: one row of each makes an example."""

_CHUNK_BYTES = 2**20


@dataclass(frozen=True, eq=False)
class Splits:
    """The stored examples, on the CPU: training set and test set."""

    train: Examples
    test: Examples

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of types, shapes and values, as hexadecimal digits."""
        digest = hashlib.sha256()
        for tensor in (*self.train, *self.test):
            # Types and shapes, too: the same bytes may stand for other examples.
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


class TransformedExamples(Dataset["Batch"]):
    """The examples of tensors in memory, transformed as in the batches of their loader."""

    def __init__(self, tensors: Batch, transform: Callable[[Batch], Batch] | None) -> None:
        self._tensors = tensors
        self._transform = transform

    def __len__(self) -> int:
        return len(self._tensors[0])

    def __getitem__(self, row: int) -> Batch:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[Batch]:
        """Several examples, which torch's loader asks for in place of one after the other."""
        if not rows:
            return []
        # A range refuses rows that do not exist, which an accelerator would end the process for.
        existing = range(len(self))
        index = torch.tensor([existing[row] for row in rows], device=self._tensors[0].device)
        batch = tuple(tensor.index_select(0, index) for tensor in self._tensors)
        if self._transform is not None:
            batch = self._transform(batch)
        return list(zip(*(part.unbind() for part in batch), strict=True))


class TensorLoader(ShuffledLoader):
    """Yields batches of resident tensors: no copy to the device, no Python per example.

    A batch never shares memory with the tensors, so it can be modified in place.

    Args:
        tensors: Tensors of equal length along their first dimension, on one device.
        batch_size: Examples per batch.
        transform: Applied to stored examples, of one or more batches at once.
        arguments: Those of `ShuffledLoader`.
    """

    def __init__(
        self,
        tensors: Batch,
        batch_size: int,
        *,
        transform: Callable[[Batch], Batch] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(TransformedExamples(tensors, transform), batch_size, **arguments)
        self.tensors = tensors
        self._transform = transform

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override] # any iterator will do
        """Start a new pass, in random order if there is a generator."""
        order = self.draw_order()
        if order is not None:
            order = order.to(self.tensors[0].device)
        # Small batches cost more in calls than in bytes, so several are gathered at once; large
        # chunks would not stay in the cache.
        bytes_per_batch = self.batch_size * sum(
            tensor[0].numel() * tensor.element_size() for tensor in self.tensors
        )
        chunks = self._chunks(max(1, _CHUNK_BYTES // bytes_per_batch), order)
        # With `map`, which keeps no chunk: the next one then reuses memory that is still in cache.
        yield from itertools.chain.from_iterable(map(self._batches_of, chunks))

    def groups(self, number: int) -> Iterator[Batch]:
        """Start a new pass in stored order that yields so many batches as one."""
        return self._chunks(number, None)

    def _batches_of(self, chunk: Batch) -> Iterator[Batch]:
        return zip(*(torch.split(part, self.batch_size) for part in chunk), strict=True)

    def _chunks(self, number: int, order: Tensor | None) -> Iterator[Batch]:
        size = self.batch_size * number
        for start in range(0, self.num_examples, size):
            rows = slice(start, min(start + size, self.num_examples))
            if order is None:
                # A copy: modifying a batch in place must not change the data set.
                chunk = tuple(tensor[rows].clone() for tensor in self.tensors)
            else:
                chunk = tuple(tensor.index_select(0, order[rows]) for tensor in self.tensors)
            if self._transform is not None:
                chunk = self._transform(chunk)
            yield chunk


class TensorDataSet(BaseDataSet[Examples]):
    """A data set whose splits are tensors on the device, gathered batch by batch.

    A subclass loads the examples, makes synthetic ones of the same shapes, and transforms stored
    batches. Arguments and attributes are those of `BaseDataSet`.
    """

    @staticmethod
    def count(examples: Examples) -> int:
        """Number of examples."""
        return len(examples[0])

    @staticmethod
    def choose(examples: Examples, rows: NDArray[np.int64]) -> Examples:
        """Copy examples with increasing row numbers."""
        index = torch.from_numpy(rows)
        return tuple(tensor.index_select(0, index) for tensor in examples)

    def training_loader(self, examples: Examples, *, reshuffle: bool) -> Loader:
        """Build the loader of full batches in random order, through `transform_training`."""
        return TensorLoader(
            tuple(tensor.to(self.device) for tensor in examples),
            self.batch_size,
            generator=self.generator,
            reshuffle=reshuffle,
            transform=self.transform_training,
        )

    def evaluation_loader(self, examples: Examples, *, drop_remainder: bool) -> Loader:
        """Build a loader of batches in stored order, through `transform`."""
        return TensorLoader(
            tuple(tensor.to(self.device) for tensor in examples),
            self.batch_size,
            drop_remainder=drop_remainder,
            transform=self.transform,
        )

    def transform(self, batch: Batch) -> Batch:
        """Convert stored examples, of one or more batches; by default, floats to type `dtype`."""
        # Integers are labels or ids, which keep their type.
        return tuple(
            tensor.to(self.dtype) if tensor.is_floating_point() else tensor for tensor in batch
        )

    def transform_training(self, batch: Batch) -> Batch:
        """Convert stored examples for `train_loader`; a subclass may augment them.

        Random numbers must come from `generator`, on the CPU, so that a seed means the same
        examples on every device.
        """
        return self.transform(batch)


class EmbeddedDataSet(TensorDataSet):
    """A data set with nothing to download.

    Attributes:
        origin: Origin of the examples, as shown by `deepobs data status`.
    """

    origin: ClassVar[str]

    @classmethod
    def status(cls, data_dir: Path) -> DataStatus:
        """Report the origin; the data are always available."""
        del data_dir
        return DataStatus("embedded", f"{cls.origin}, nothing to download")

    @classmethod
    def prepare(cls, data_dir: Path) -> DataStatus:
        """Verify the examples; there is nothing to download."""
        return cls.verify(data_dir)

    @classmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Check nothing, unless a subclass has something to check."""
        return cls.status(data_dir)
