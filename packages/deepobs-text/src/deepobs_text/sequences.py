"""Batches of sequences from one long text that resides in memory on the device.

Axes in the names of tensors: B batch, T time (the position in a sequence), W window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from deepobs.data.base import collate
from deepobs.data.tensor_dataset import TensorLoader

if TYPE_CHECKING:
    from collections.abc import Iterator


class Reading:
    """Identity of one pass over a text, shared by its batches."""


class SequenceBatch(tuple[Tensor, ...]):
    """Ids and next ids, with their pass and their position in it, from 0.

    Attributes:
        lanes: Of a micro-batch, which sequences of its batch it holds; `None` for all.
    """

    reading: Reading
    number: int
    lanes: slice | None = None

    def split(self, parts: int) -> list[SequenceBatch]:
        """Split it into micro-batches.

        Args:
            parts: The number of micro-batches; fewer, if there are fewer sequences.
        """
        found, start = [], 0
        for ids in self[0].tensor_split(min(parts, len(self[0]))):
            lanes = slice(start, start + len(ids))
            part = self.rows(lanes)
            part.lanes, start = lanes, lanes.stop
            found.append(part)
        return found

    def rows(self, rows: slice) -> SequenceBatch:
        """Some of its sequences, at the same place in the pass."""
        part = SequenceBatch(tensor[rows] for tensor in self)
        part.reading, part.number = self.reading, self.number
        return part


class StreamedSequences(Dataset[tuple[Tensor, Tensor]]):
    """The sequences of a text in the order in which a `StreamLoader` reads them.

    Args:
        ids: The text, cut into parts that are read at once, shape (parts, characters).
        next_ids: Likewise, a character later.
        sequence_length: Characters per sequence; the last of a part may be shorter.
    """

    def __init__(self, ids: Tensor, next_ids: Tensor, sequence_length: int) -> None:
        self._texts = ids, next_ids
        self._sequence_length = sequence_length

    def __len__(self) -> int:
        parts, characters = self._texts[0].shape
        return parts * -(-characters // self._sequence_length)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        number, part = divmod(range(len(self))[row], len(self._texts[0]))
        start = number * self._sequence_length
        ids, next_ids = (text[part, start : start + self._sequence_length] for text in self._texts)
        return ids, next_ids


class StreamLoader(DataLoader[tuple[Tensor, Tensor]]):
    """Reads a text at many places at once, so that each batch continues the previous one.

    The text is cut into as many equal parts as a batch has sequences. The remainder at its end,
    less than a batch, is never read. Batches are views of the text: do not modify them in place.

    Args:
        ids: The text, int64 of shape (characters,), on the device.
        batch_size: Sequences per batch.
        sequence_length: Characters per sequence.
        drop_remainder: Whether to drop the last, shorter sequences.

    Attributes:
        passes_started: Number of passes started so far.
    """

    def __init__(
        self, ids: Tensor, batch_size: int, sequence_length: int, *, drop_remainder: bool = True
    ) -> None:
        # One character less, as the last of a text has no successor to predict.
        characters = (len(ids) - 1) // batch_size
        if drop_remainder:
            characters -= characters % sequence_length
        total = batch_size * characters
        self._ids = ids[:total].view(batch_size, characters)
        self._next_ids = ids[1 : total + 1].view(batch_size, characters)
        sequences = StreamedSequences(self._ids, self._next_ids, sequence_length)
        super().__init__(sequences, batch_size, drop_last=drop_remainder, collate_fn=collate)
        self.ids = ids
        self.sequence_length = sequence_length
        self.passes_started = 0

    def __iter__(self) -> Iterator[SequenceBatch]:  # type: ignore[override] # any iterator will do
        """Start a new pass."""
        # Not a generator itself: the pass starts now, not only when the first batch is requested.
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
    """Build a loader of consecutive windows of a text without overlap.

    Args:
        ids: The text, int64 of shape (characters,), on the device.
        batch_size: Windows per batch.
        sequence_length: Characters per window.
        generator: Draws the order of a pass; `None` for text order.
        reshuffle: Whether each pass has a new order or all share the first.
        drop_remainder: Whether a pass drops the last, smaller batch.
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
