"""Batches gathered from tensors that live on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepobs.protocols import Batch


class TensorLoader:
    """Yields batches of resident tensors: no copy to the device, no Python for one example.

    A batch never shares memory with the tensors, so that changing it in place harms nobody.

    Args:
        tensors: Tensors of equal length along their first dimension, on one device.
        batch_size: Examples a batch.
        generator: A generator on the CPU that draws the order of a pass; `None` for the order in
            which the examples lie.
        reshuffle: Whether every pass has a new order, or all have that of the first.
        drop_remainder: Whether a pass leaves out the last, smaller batch.
        transform: What to make of a batch as it lies in memory.
    """

    def __init__(
        self,
        tensors: Batch,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        reshuffle: bool = True,
        drop_remainder: bool = True,
        transform: Callable[[Batch], Batch] | None = None,
    ) -> None:
        self.tensors = tensors
        self.batch_size = batch_size
        self.generator = generator
        self.reshuffle = reshuffle
        self.drop_remainder = drop_remainder
        self._transform = transform
        self._order: Tensor | None = None

    @property
    def num_examples(self) -> int:
        """How many examples a pass yields."""
        size = len(self.tensors[0])
        return size - size % self.batch_size if self.drop_remainder else size

    def __len__(self) -> int:
        """The number of batches in a pass."""
        return (self.num_examples + self.batch_size - 1) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        """Start a new pass, in random order where there is a generator."""
        batches = self._in_order() if self.generator is None else self._in_random_order()
        return batches if self._transform is None else map(self._transform, batches)

    def _in_order(self) -> Iterator[Batch]:
        for start in range(0, self.num_examples, self.batch_size):
            stop = min(start + self.batch_size, self.num_examples)
            yield tuple(tensor[start:stop].clone() for tensor in self.tensors)

    def _in_random_order(self) -> Iterator[Batch]:
        if self._order is None or self.reshuffle:
            # The order is drawn on the CPU: a seed means the same order on every device.
            order = torch.randperm(len(self.tensors[0]), generator=self.generator, device="cpu")
            self._order = order[: self.num_examples].to(self.tensors[0].device)
        for rows in torch.split(self._order, self.batch_size):
            yield tuple(tensor.index_select(0, rows) for tensor in self.tensors)


def seeded_generator() -> torch.Generator:
    """A generator of its own for the data, seeded from torch's global generator.

    Like this the order of the data does not depend on how many random numbers the model draws.
    """
    seed = int(torch.randint(2**63 - 1, (), dtype=torch.int64, device="cpu"))
    return torch.Generator(device="cpu").manual_seed(seed)


def to_float(images: Tensor, dtype: torch.dtype, largest: int = 255) -> Tensor:
    """Turn images of bytes into numbers from 0 to 1.

    Args:
        images: Bytes from 0 to `largest`, any shape.
        dtype: The floating-point type to get.
        largest: The byte that becomes 1.

    Returns:
        The correctly rounded quotients, the same on every device.
    """
    # To divide by a Python number, CUDA multiplies by its reciprocal: here and there a bit off.
    divisor = torch.full((), largest, dtype=dtype, device=images.device)
    return images.to(dtype).div_(divisor)
