"""Batches gathered from tensors that live on the device."""

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
    """Yields batches of examples in the order in which they lie, or in random order.

    A subclass says what a pass is; `draw_order` gives it the order.

    Args:
        total: How many examples there are.
        batch_size: Examples a batch.
        generator: A generator on the CPU that draws what is random about a pass; `None` for the
            order in which the examples lie.
        reshuffle: Whether every pass has a new order, or all have that of the first.
        drop_remainder: Whether a pass leaves out the last, smaller batch.
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
        self.drop_remainder = drop_remainder
        self._total = total
        self._kept_order: Tensor | None = None

    @property
    def num_examples(self) -> int:
        """How many examples a pass yields."""
        return self._total - (self._total % self.batch_size if self.drop_remainder else 0)

    def __len__(self) -> int:
        """The number of batches in a pass."""
        return (self.num_examples + self.batch_size - 1) // self.batch_size

    @abstractmethod
    def __iter__(self) -> Iterator[Batch]:
        """Start a new pass, in random order where there is a generator."""

    def batches_from(self, number: int) -> Iterator[Batch]:
        """Start a new pass, but leave out so many batches at its beginning.

        Args:
            number: How many; what is random about them is drawn all the same.
        """
        return itertools.islice(self, number, None)

    def draw_order(self) -> Tensor | None:
        """The rows of a new pass, on the CPU; `None` for the order in which the examples lie."""
        if self.generator is None:
            return None
        if self._kept_order is not None:
            return self._kept_order
        # The order is drawn on the CPU: a seed means the same order on every device.
        order = torch.randperm(self._total, generator=self.generator, device="cpu")
        order = order[: self.num_examples]
        self._kept_order = None if self.reshuffle else order
        return order

    def state_dict(self) -> dict[str, Any]:
        """What the next pass depends on."""
        if self.generator is None:
            return {}
        return {"generator": self.generator.get_state(), "order": self._kept_order}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next pass be the one that followed when `state_dict` was called.

        Args:
            state: What that returned.
        """
        if self.generator is not None:
            self.generator.set_state(state["generator"])
            self._kept_order = state["order"]


class TensorLoader(ShuffledLoader):
    """Yields batches of resident tensors: no copy to the device, no Python for one example.

    A batch never shares memory with the tensors, so that changing it in place harms nobody.

    Args:
        tensors: Tensors of equal length along their first dimension, on one device.
        batch_size: Examples a batch.
        transform: What to make of examples as they lie in memory, of one or more batches at once.
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
        """Start a new pass, in random order where there is a generator."""
        order = self.draw_order()
        chunks = self._in_order() if order is None else self._gathered(order)
        if self._transform is not None:
            chunks = map(self._transform, chunks)
        for chunk in chunks:
            yield from zip(*(torch.split(part, self.batch_size) for part in chunk), strict=True)

    def _in_order(self) -> Iterator[Batch]:
        for start in range(0, self.num_examples, self._chunk_size):
            stop = min(start + self._chunk_size, self.num_examples)
            yield tuple(tensor[start:stop].clone() for tensor in self.tensors)

    def _gathered(self, order: Tensor) -> Iterator[Batch]:
        for rows in torch.split(order.to(self.tensors[0].device), self._chunk_size):
            yield tuple(tensor.index_select(0, rows) for tensor in self.tensors)

    @property
    def _chunk_size(self) -> int:
        """How many examples are gathered at once: the batches of some steps, where they are small.

        Small batches cost more in calls than in bytes; large ones would not stay in the cache.
        """
        bytes_per_batch = (
            sum(tensor[0].numel() * tensor.element_size() for tensor in self.tensors)
            * self.batch_size
        )
        return self.batch_size * max(1, _CHUNK_BYTES // bytes_per_batch)


def seeded_generator() -> torch.Generator:
    """A generator of its own for the data, seeded from torch's global generator.

    Like this the order of the data does not depend on how many random numbers the model draws.
    """
    seed = int(torch.randint(2**63 - 1, (), dtype=torch.int64, device="cpu"))
    return torch.Generator(device="cpu").manual_seed(seed)


class ToFloat:
    """Turns images of bytes into numbers from 0 to 1: the correctly rounded quotients.

    Args:
        dtype: The floating-point type to get.
        device: Where the images are.
        largest: The byte that becomes 1.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, largest: int = 255) -> None:
        self._dtype = dtype
        # To divide by a Python number, CUDA multiplies by its reciprocal: here and there a bit off.
        self._divisor = torch.full((), largest, dtype=dtype, device=device)

    def __call__(self, images: Tensor) -> Tensor:
        """Turn images of any shape, bytes from 0 to `largest`."""
        return images.to(self._dtype).div_(self._divisor)
