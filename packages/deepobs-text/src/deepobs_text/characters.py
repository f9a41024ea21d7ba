"""Characters as numbers: the more frequent, the smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Encoded(NamedTuple):
    """A text as numbers.

    Attributes:
        ids: Which character stands where, int64 of shape (characters,).
        vocabulary: The characters that occur; an id is a place in it.
    """

    ids: NDArray[np.int64]
    vocabulary: tuple[str, ...]


def encode(text: str) -> Encoded:
    """Number the characters of a text by decreasing frequency.

    Those that are equally frequent are numbered in the order of their first appearance.

    Args:
        text: At least one character.
    """
    symbols = list(dict.fromkeys(text))
    code_points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    symbol_points = np.array([ord(symbol) for symbol in symbols])
    counts = np.bincount(code_points)[symbol_points]
    order = np.argsort(-counts, kind="stable")
    id_of_point = np.zeros(symbol_points.max() + 1, dtype=np.int64)
    id_of_point[symbol_points[order]] = np.arange(len(symbols))
    return Encoded(id_of_point[code_points], tuple(symbols[index] for index in order))
