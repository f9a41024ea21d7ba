"""Batches of sequences out of one long text that lies in memory, on the device.

Axes in the names of tensors: B batch, T time (the position in a sequence), W window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepobs.data.loader import TensorLoader

if TYPE_CHECKING:
    from collections.abc import Iterator


class Reading:
    """One pass over a text: what its batches have in common, and others have not."""


class SequenceBatch(tuple[Tensor, ...]):
    """Ids and next ids, which know where they belong: what goes before them was read before them.

    Attributes:
        reading: The pass that they are part of.
        number: Their place in it, from 0.
    """

    reading: Reading
    number: int


class StreamLoader:
    """Reads a text at many places at once, so that every batch goes on where the last one ended.

    The text is cut into as many equal parts as there are examples in a batch. What is left over at
    its end, less than a batch, is never read. Batches are views of the text: do not change them in
    place.

    Args:
        ids: The text, int64 of shape (characters,), on the device.
        batch_size: Sequences a batch.
        sequence_length: Characters of a sequence.
        drop_remainder: Whether to leave out the last, shorter sequences.

    Attributes:
        passes_started: How many times the text was begun.
    """

    def __init__(
        self, ids: Tensor, batch_size: int, sequence_length: int, *, drop_remainder: bool = True
    ) -> None:
        self.ids = ids
        self.batch_size = batch_size
        self.sequence_length = sequence_length
        self.drop_remainder = drop_remainder
        self.passes_started = 0
        characters = (len(ids) - 1) // batch_size
        if drop_remainder:
            characters -= characters % sequence_length
        total = batch_size * characters
        self._ids = ids[:total].view(batch_size, characters)
        self._next_ids = ids[1 : total + 1].view(batch_size, characters)

    def __len__(self) -> int:
        """The number of batches in a pass."""
        characters = self._ids.shape[1]
        return (characters + self.sequence_length - 1) // self.sequence_length

    def __iter__(self) -> Iterator[SequenceBatch]:
        """Start a new pass: at once, not only when the first batch is asked for."""
        self.passes_started += 1
        return self._read(Reading())

    def _read(self, reading: Reading) -> Iterator[SequenceBatch]:
        texts = (self._ids, self._next_ids)
        sequences = (torch.split(text, self.sequence_length, dim=1) for text in texts)
        for number, pair in enumerate(zip(*sequences, strict=True)):
            batch = SequenceBatch(pair)
            batch.reading = reading
            batch.number = number
            yield batch


def window_loader(
    ids: Tensor,
    batch_size: int,
    sequence_length: int,
    *,
    generator: torch.Generator | None,
    reshuffle: bool = True,
    drop_remainder: bool = True,
) -> TensorLoader:
    """What yields windows of a text, which follow each other without overlap, in any order.

    Args:
        ids: The text, int64 of shape (characters,), on the device.
        batch_size: Windows a batch.
        sequence_length: Characters of a window.
        generator: Draws the order of a pass; `None` for that of the text.
        reshuffle: Whether every pass has a new order, or all have that of the first.
        drop_remainder: Whether a pass leaves out the last, smaller batch.
    """
    total = len(ids) - 1 - (len(ids) - 1) % sequence_length
    windows_WT = ids[:total].view(-1, sequence_length)
    next_WT = ids[1 : total + 1].view(-1, sequence_length)
    return TensorLoader(
        (windows_WT, next_WT),
        batch_size,
        generator=generator,
        reshuffle=reshuffle,
        drop_remainder=drop_remainder,
    )
