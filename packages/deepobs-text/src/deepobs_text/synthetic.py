"""Synthetic twins of texts: what comes next depends on the character before.

They stand in where the real text is missing: a new optimizer or an installation can be tried out on
them, and a model learns to predict them. The numbers that come out mean nothing.
"""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepobs_text.text_splits import TextSplits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepobs.plugins import DatasetSpec

_LEAST_CHARACTERS = 20000
"""A split is not made smaller than this unless the real one is: some batches of 50 times 50."""

_CHAINS = 1000
"""So many pieces of the text grow at once, as NumPy has no faster way; then they are joined."""

_PROBABILITIES = (0.5, 0.25, 0.125, 0.125)
"""How likely each of the successors of a character is: a cross-entropy of 1.21 nats."""


@functools.lru_cache(maxsize=1)
def synthetic_text(spec: DatasetSpec, num_symbols: int, fraction: float) -> TextSplits:
    """Make the twin of a text: always the same one for the same arguments.

    The last one is kept: runs on one data set follow each other.

    Args:
        spec: The data set; its name and its split sizes count.
        num_symbols: Ids run from 0 to one less.
        fraction: The size of each split as a fraction of the real one; some batches in any case.
    """
    # A stream that NumPy promises to keep; the global generators are neither used nor changed.
    random = np.random.RandomState(zlib.crc32(spec.name.encode()))
    train_size = _split_size(spec.train_size, fraction)
    test_size = _split_size(spec.test_size, fraction)
    text_N = torch.from_numpy(_chain(random, train_size + test_size, num_symbols))
    return TextSplits((text_N[:train_size],), (text_N[train_size:],), num_symbols, None)


def _split_size(real_size: int, fraction: float) -> int:
    return max(round(real_size * fraction), min(real_size, _LEAST_CHARACTERS))


def _chain(random: np.random.RandomState, length: int, num_symbols: int) -> NDArray[np.int64]:
    """A Markov chain in which every character has a few successors, int64 of shape (length,)."""
    successors = random.randint(0, num_symbols, (num_symbols, len(_PROBABILITIES)))
    successors[:, 0] = random.permutation(num_symbols)  # so that every character succeeds some
    steps = -(-length // _CHAINS)
    ends = np.cumsum(_PROBABILITIES)[:-1]
    choices = np.searchsorted(ends, random.random_sample((steps, _CHAINS)), side="right")
    pieces = np.empty((steps, _CHAINS), dtype=np.int64)
    current = random.randint(0, num_symbols, _CHAINS)
    for step in range(steps):
        current = successors[current, choices[step]]
        pieces[step] = current
    return pieces.T.ravel()[:length]
