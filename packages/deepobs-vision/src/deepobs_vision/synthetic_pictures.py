"""Synthetic stand-ins for photographs, made when they are asked for.

As in `synthetic`, there is a coarse pattern for each class, and noise; but so many large pictures
would not fit into memory.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEIGHT, _WIDTH, _CHANNELS = 375, 500, 3
"""The commonest size of a picture of ImageNet."""

_FIELDS = 8
"""Rows and columns of a pattern: coarse, so that it is learnt soon."""

_NOISE_LIMIT = 128
"""Pattern and noise are each below this power of two, so that their sum is a byte."""


@dataclass(frozen=True, slots=True)
class SyntheticPicture:
    """A picture that has yet to be made.

    Attributes:
        pattern: Brightness below 128 of the fields, uint8 of shape (8, 8, 3).
        seed: What the noise depends on.
    """

    pattern: NDArray[np.uint8]
    seed: tuple[int, ...]

    def decode(self) -> NDArray[np.uint8]:
        """The pixels, shape (375, 500, 3)."""
        num_bytes = _HEIGHT * _WIDTH * _CHANNELS
        # A stream that NumPy promises to keep; the global generators are neither used nor changed.
        words = np.random.SFC64(self.seed).random_raw(num_bytes // 8 + 1)
        noise = words.view(np.uint8)[:num_bytes] & (_NOISE_LIMIT - 1)
        rows, columns = (
            np.bincount(np.arange(side) * _FIELDS // side) for side in (_HEIGHT, _WIDTH)
        )
        pattern = self.pattern.repeat(columns, axis=1).repeat(rows, axis=0)
        pattern += noise.reshape(pattern.shape)
        return pattern


class SyntheticPictures:
    """The training or the test set: always the same one for the same arguments.

    Args:
        name: What the patterns are drawn for.
        split: Distinguishes the noise of the training set from that of the test set.
        size: How many pictures there are.
        num_classes: Labels run from 1 to this, and all are about equally frequent.

    Attributes:
        labels: The label of each picture.
    """

    def __init__(self, name: str, split: str, size: int, num_classes: int) -> None:
        random = np.random.RandomState(zlib.crc32(name.encode()))
        shape = (num_classes, _FIELDS, _FIELDS, _CHANNELS)
        self._patterns = random.randint(0, _NOISE_LIMIT, shape, dtype=np.uint8)
        self._seed = zlib.crc32(f"{name} {split}".encode())
        random = np.random.RandomState(self._seed)
        self.labels: NDArray[np.int64] = random.permutation(np.arange(size) % num_classes) + 1

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> SyntheticPicture:
        """One of the pictures."""
        return SyntheticPicture(self._patterns[self.labels[row] - 1], (self._seed, int(row)))
