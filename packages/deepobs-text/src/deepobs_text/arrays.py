"""A text as arrays of ids in the files of the original DeepOBS, and its vocabulary as JSON.

Nothing is ever unpickled: the original's `vocab.pkl` is left alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepobs.data.layout import corrupt
from deepobs.files import open_atomic
from deepobs_text.text_splits import TextSplits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

TRAIN = "train.npy"
TEST = "test.npy"
VOCABULARY = "vocabulary.json"


def read_splits(paths: Mapping[str, Path], num_symbols: int) -> TextSplits:
    """Read both arrays, and the vocabulary where there is one.

    Args:
        paths: The files, by name.
        num_symbols: Of how many characters the ids are.

    Raises:
        CorruptDataError: A file does not hold what it should, or they do not fit each other.
        OSError: A file cannot be read.
    """
    train, test = (torch.from_numpy(read_ids(paths[name], num_symbols)) for name in (TRAIN, TEST))
    vocabulary = read_vocabulary(paths[VOCABULARY], num_symbols) if VOCABULARY in paths else None
    return TextSplits((train,), (test,), num_symbols, vocabulary)


def save_splits(splits: TextSplits, directory: Path) -> None:
    """Write both arrays and the vocabulary, each whole or not at all; what is there is replaced.

    The arrays come last: only they are looked for, and the vocabulary must be theirs.

    Args:
        splits: A text whose vocabulary is known.
        directory: Where to; it exists, and the caller holds its lock.

    Raises:
        OSError: It cannot be written to.
    """
    vocabulary = json.dumps(splits.vocabulary, ensure_ascii=False)
    with open_atomic(directory / VOCABULARY, is_locked=True) as stream:
        stream.write(f"{vocabulary}\n".encode())
    for name, (ids,) in ((TEST, splits.test), (TRAIN, splits.train)):
        with open_atomic(directory / name, is_locked=True) as stream:
            np.save(stream, ids.numpy(), allow_pickle=False)


def read_ids(path: Path, num_symbols: int) -> NDArray[np.int64]:
    """Read an array of ids, whatever type of whole numbers they have.

    Args:
        path: A file as `numpy.save` writes it.
        num_symbols: Of how many characters the ids are.

    Returns:
        Shape (characters,), 1 or more.

    Raises:
        CorruptDataError: It holds something else.
        OSError: It cannot be read.
    """
    stored = _mapped(path)
    if stored.ndim != 1:
        raise corrupt(path, f"its array has the shape {stored.shape} instead of (characters,)")
    if stored.dtype.kind not in "iu":
        raise corrupt(path, f"its array is of type {stored.dtype} instead of whole numbers")
    if not len(stored):
        raise corrupt(path, "it holds no characters")
    for limit in (int(stored.min()), int(stored.max())):
        if not 0 <= limit < num_symbols:
            raise corrupt(
                path,
                f"it holds the id {limit}, but those of a vocabulary of {num_symbols} characters "
                f"run from 0 to {num_symbols - 1}",
            )
    return np.array(stored, dtype=np.int64)


def read_vocabulary(path: Path, num_symbols: int) -> tuple[str, ...]:
    """Read which character each id stands for.

    Args:
        path: A list of characters in JSON.
        num_symbols: How many there must be.

    Raises:
        CorruptDataError: It holds something else.
        OSError: It cannot be read.
    """
    try:
        symbols = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise corrupt(path, f"it is not JSON ({error})") from error
    if not isinstance(symbols, list):
        raise corrupt(path, f"it holds a {type(symbols).__name__} instead of a list of characters")
    if len(symbols) != num_symbols:
        raise corrupt(path, f"it lists {len(symbols)} characters, but the ids are of {num_symbols}")
    for symbol in symbols:
        if not isinstance(symbol, str) or len(symbol) != 1:
            raise corrupt(path, f"its list holds {symbol!r}, which is not a single character")
    repeated = [symbol for symbol in dict.fromkeys(symbols) if symbols.count(symbol) > 1]
    if repeated:
        raise corrupt(path, f"its list holds {repeated[0]!r} more than once")
    return tuple(symbols)


def _mapped(path: Path) -> NDArray[np.generic]:
    """The array in a file, mapped: like this its header cannot claim more than the file holds."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:  # which is no matter of its content
        raise
    except Exception as error:  # a header can be wrong in more ways than NumPy has errors for
        raise corrupt(path, f"it is not an array of whole numbers ({error})") from error
