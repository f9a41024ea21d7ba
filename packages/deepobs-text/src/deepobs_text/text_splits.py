"""A text, divided into what a model is trained on and what it is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from deepobs.data.layout import corrupt
from deepobs.data.tensor_dataset import Splits
from deepobs_text.characters import encode

if TYPE_CHECKING:
    from pathlib import Path

_FEWEST_CHARACTERS = 5
"""Of fewer, none would be left for testing."""


@dataclass(frozen=True, eq=False)
class TextSplits(Splits):
    """The training and the test text: ids of characters, int64 of shape (characters,).

    Attributes:
        num_symbols: Ids run from 0 to one less.
        vocabulary: Which character each id stands for, `None` where it is not known.
    """

    num_symbols: int
    vocabulary: tuple[str, ...] | None


def divided(path: Path, text: str) -> TextSplits:
    """Number the characters of a text and divide it: the first four fifths are for training.

    Args:
        path: Where it comes from, for messages.
        text: All of it.

    Raises:
        CorruptDataError: It has too few characters to be divided.
    """
    if len(text) < _FEWEST_CHARACTERS:
        raise corrupt(
            path,
            f"a data set needs a text of {_FEWEST_CHARACTERS} characters or more, and it holds "
            f"{len(text)}",
        )
    ids, vocabulary = encode(text)
    text_N = torch.from_numpy(ids)
    train_size = len(ids) - len(ids) // 5
    return TextSplits((text_N[:train_size],), (text_N[train_size:],), len(vocabulary), vocabulary)
