"""Batches gathered from tensors that reside on the device."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepobs.protocols import Batch

_CHUNK_BYTES = 2**20


class ShuffledLoader(ABC):
    """Yields batches of examples in stored or random order.

    A subclass implements a pass; `draw_order` provides its order.

    Args:
        total: Number of examples.
        batch_size: Examples per batch.
        generator: CPU generator of the randomness of a pass; `None` for stored order.
        reshuffle: Whether each pass has a new order or all share the first.
        drop_remainder: Whether a pass drops the last, smaller batch.

    Attributes:
        num_examples: Number of examples that a pass yields.
    """

    def __init__(
        self,
        total: int,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        reshuffle: bool = True,
        drop_remainder: bool = True,
    ) -> None:
        self.batch_size = batch_size
        self.generator = generator
        self.reshuffle = reshuffle
        self._total = total
        self.num_examples = total - (total % batch_size if drop_remainder else 0)
        self._kept_order: Tensor | None = None

    def __len__(self) -> int:
        """The number of batches in a pass."""
        return (self.num_examples + self.batch_size - 1) // self.batch_size

    @abstractmethod
    def __iter__(self) -> Iterator[Batch]:
        """Start a new pass, in random order if there is a generator."""

    def batches_from(self, number: int) -> Iterator[Batch]:
        """Start a new pass and skip its first batches."""
        # Their random numbers are drawn nevertheless: a resumed pass must continue bit by bit.
        return itertools.islice(self, number, None)

    def draw_order(self) -> Tensor | None:
        """Draw the rows of a new pass, on the CPU; `None` for stored order."""
        if self.generator is None:
            return None
        if self._kept_order is not None:
            return self._kept_order
        # Drawn on the CPU: a seed must mean the same order on every device.
        # And whole, although a part is used, so that every example has the same chance.
        order = torch.randperm(self._total, generator=self.generator, device="cpu")
        order = order[: self.num_examples]
        self._kept_order = None if self.reshuffle else order
        return order

    def state_dict(self) -> dict[str, Any]:
        """Return what the next pass depends on."""
        if self.generator is None:
            return {}
        return {"generator": self.generator.get_state(), "order": self._kept_order}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next pass the one that followed the call of `state_dict`."""
        if self.generator is not None:
            self.generator.set_state(state["generator"])
            self._kept_order = state["order"]


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
        super().__init__(len(tensors[0]), batch_size, **arguments)
        self.tensors = tensors
        self._transform = transform

    def __iter__(self) -> Iterator[Batch]:
        """Start a new pass, in random order if there is a generator."""
        order = self.draw_order()
        chunks = self._chunks(order)
        if self._transform is not None:
            chunks = map(self._transform, chunks)
        for chunk in chunks:
            yield from zip(*(torch.split(part, self.batch_size) for part in chunk), strict=True)

    def _chunks(self, order: Tensor | None) -> Iterator[Batch]:
        """The stored examples of a pass, those of several batches at once if these are small."""
        # Small batches cost more in calls than in bytes; large chunks would not stay in the cache.
        bytes_per_batch = self.batch_size * sum(
            tensor[0].numel() * tensor.element_size() for tensor in self.tensors
        )
        size = self.batch_size * max(1, _CHUNK_BYTES // bytes_per_batch)
        if order is not None:
            for rows in torch.split(order.to(self.tensors[0].device), size):
                yield tuple(tensor.index_select(0, rows) for tensor in self.tensors)
            return
        for start in range(0, self.num_examples, size):
            stop = min(start + size, self.num_examples)
            # A copy: modifying a batch in place must not change the data set.
            yield tuple(tensor[start:stop].clone() for tensor in self.tensors)


def seeded_generator() -> torch.Generator:
    """Create a generator for the data, seeded from torch's global generator."""
    seed = int(torch.randint(2**63 - 1, (), dtype=torch.int64, device="cpu"))
    return torch.Generator(device="cpu").manual_seed(seed)


class ToFloat:
    """Converts images of bytes to correctly rounded floats in [0, 1].

    Args:
        dtype: Floating-point type of the result.
        device: Device of the images.
        largest: The byte that becomes 1.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, largest: int = 255) -> None:
        self._dtype = dtype
        # To divide by a Python number, CUDA multiplies by its reciprocal, which rounds differently.
        self._divisor = torch.full((), largest, dtype=dtype, device=device)

    def __call__(self, images: Tensor) -> Tensor:
        """Convert images of any shape, bytes from 0 to `largest`."""
        return images.to(self._dtype).div_(self._divisor)
