"""Base class of text data sets: each split is one text, kept in its own order."""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

import numpy as np
import torch

from deepobs import checks
from deepobs.data import Splits, TensorDataSet
from deepobs.data.base import part_of
from deepobs.data.file_dataset import corrupt
from deepobs.errors import ArgumentError
from deepobs_text.sequences import StreamLoader, window_loader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from deepobs.data import Examples
    from deepobs.data.base import StoredSplits
    from deepobs.plugins import DatasetSpec
    from deepobs.protocols import Loader

# With fewer, none would be left for testing.
_FEWEST_CHARACTERS = 5

# Smallest synthetic split, unless the real one is smaller: some batches of 50 times 50.
_FEWEST_SYNTHETIC = 20000

# Number of pieces of a synthetic text that are generated at once and then joined.
_CHAINS = 1000

# Probabilities of the successors of a synthetic character: a cross-entropy of 1.21 nats.
_PROBABILITIES = (0.5, 0.25, 0.125, 0.125)


class Encoded(NamedTuple):
    """A text as numbers.

    Attributes:
        ids: The id of each character, int64 of shape (characters,).
        vocabulary: The character of each id.
    """

    ids: NDArray[np.int64]
    vocabulary: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TextSplits(Splits):
    """The training and the test text: ids of characters, int64 of shape (characters,).

    The vocabulary, the character of each id, is `None` if unknown.
    """

    num_symbols: int
    vocabulary: tuple[str, ...] | None


class TextDataSet(TensorDataSet):
    """A text divided into splits, for models that predict each next character.

    The size of a split is a number of characters: the end of the training text is held out for
    validation, and `train_eval` is the beginning of the rest. A batch consists of the ids of
    characters and of their successors, both int64 of shape (batch, sequence).

    Each loader reads its text at as many places at once as a batch has sequences, so that each
    batch continues the previous one. With `shuffles`, a text is cut into sequences instead, which
    are read in random order for training and in stored order for evaluation. A few characters at
    the end of a text are never read, since they would make sequences of unequal length.

    Further arguments and attributes are those of `BaseDataSet`.

    Args:
        batch_size: Sequences per batch.
        device: Device of the batches; `None` for `config.get_default_device()`.
        validation_size: Number of training characters held out for `valid_loader`.
        drop_remainder: Whether evaluation drops the last batch, of shorter sequences or, with
            `shuffles`, of fewer; training always does.
        reshuffle: Whether each pass over shuffled sequences has a new order or all share the first.
        train_fraction: Part of the training text that is used, its beginning.
        sequence_length: Characters per sequence.
        shuffles: Whether training reads the sequences in random order, for models without a state
            that is carried from batch to batch.

    Attributes:
        num_symbols: Ids run from 0 to one less.
        vocabulary: The character of each id, `None` if unknown.
        synthetic_symbols: Number of symbols of the synthetic twin.
        train_eval_size: Number of characters that the training loss is evaluated on; by default
            the size of the test text of War and Peace.
    """

    train_eval_size: ClassVar[int] = 653237
    synthetic_symbols: ClassVar[int] = 83
    num_symbols: int
    vocabulary: tuple[str, ...] | None

    def __init__(
        self,
        batch_size: int,
        *,
        device: str | torch.device | None = None,
        validation_size: int = 0,
        drop_remainder: bool = True,
        reshuffle: bool = True,
        train_fraction: float = 1.0,
        sequence_length: int = 50,
        shuffles: bool = False,
    ) -> None:
        self.sequence_length = checks.integer("sequence_length", sequence_length, least=1)
        self.shuffles = shuffles
        super().__init__(
            batch_size,
            device=device,
            validation_size=validation_size,
            drop_remainder=drop_remainder,
            reshuffle=reshuffle,
            train_fraction=train_fraction,
        )

    @classmethod
    def make_fake(cls, fraction: float) -> TextSplits:
        """Create a learnable text of at least a few batches."""
        return synthetic_text(cls.spec, cls.synthetic_symbols, fraction)

    def training_loader(self, examples: Examples, *, reshuffle: bool) -> Loader:
        """Build the loader of full batches, in text order or in an order drawn by `generator`."""
        ids = examples[0].to(self.device)
        if not self.shuffles:
            return StreamLoader(ids, self.batch_size, self.sequence_length)
        return window_loader(
            ids,
            self.batch_size,
            self.sequence_length,
            generator=self.generator,
            reshuffle=reshuffle,
        )

    def evaluation_loader(self, examples: Examples, *, drop_remainder: bool) -> Loader:
        """Build a loader of batches in text order."""
        ids = examples[0].to(self.device)
        sizes = self.batch_size, self.sequence_length
        if not self.shuffles:
            return StreamLoader(ids, *sizes, drop_remainder=drop_remainder)
        return window_loader(ids, *sizes, generator=None, drop_remainder=drop_remainder)

    def _parts(self, splits: StoredSplits[Examples], validation_size: int) -> dict[str, Examples]:
        text = cast("TextSplits", splits)  # returned by `make_fake` and `read` of every text
        self.num_symbols = text.num_symbols
        self.vocabulary = text.vocabulary
        # Contiguous stretches: characters chosen at random, as the base class does, are no text.
        (ids,) = splits.train
        held = checks.integer("validation_size", validation_size, least=0, most=len(ids) - 1)
        kept = ids[: part_of(len(ids) - held, self.train_fraction)]
        parts: dict[str, Examples] = {
            "train": (kept,),
            "train_eval": (kept[: self.train_eval_size],),
        }
        if held:
            parts["valid"] = (ids[len(ids) - held :],)
        parts["test"] = splits.test
        self._check_lengths({name: len(part[0]) for name, part in parts.items()})
        return parts

    def _check_lengths(self, lengths: Mapping[str, int]) -> None:
        shortest = min(lengths, key=lambda name: lengths[name])
        size = lengths[shortest]
        # Each split needs a full batch, since evaluation drops the remainder by default.
        needed = self.batch_size * self.sequence_length + 1
        if size >= needed:
            return
        remedy = "or take a longer text"
        if "valid" in lengths and shortest != "test":
            remedy = f"or a {'larger' if shortest == 'valid' else 'smaller'} validation_size"
        raise ArgumentError(
            f"The text of {self.name} is too short for batches of {self.batch_size} sequences "
            f"of {self.sequence_length} characters: its {shortest} split has {size} "
            f"characters, and {needed} are needed ({self.batch_size} x {self.sequence_length}, "
            f"and one more to predict). Choose a smaller batch_size or sequence_length, {remedy}."
        )


def encode(text: str) -> Encoded:
    """Number the characters of a text by decreasing frequency, ties by first occurrence.

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


def divide(path: Path, text: str) -> TextSplits:
    """Encode a text and divide it: the first four fifths are for training.

    Raises:
        CorruptDataError: It is too short to be divided.
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


@functools.lru_cache(maxsize=1)
def synthetic_text(spec: DatasetSpec, num_symbols: int, fraction: float) -> TextSplits:
    """Create the synthetic twin of a text, a Markov chain, for trials without the real text.

    Args:
        spec: The data set; its name and its split sizes determine the text.
        num_symbols: Ids run from 0 to one less.
        fraction: Size of each split as a fraction of the real one; at least a few batches.
    """
    # NumPy guarantees the stream of RandomState, and global generators stay as they are.
    random = np.random.RandomState(zlib.crc32(spec.name.encode()))
    train_size, test_size = (
        max(round(size * fraction), min(size, _FEWEST_SYNTHETIC))
        for size in (spec.train_size, spec.test_size)
    )
    text_N = torch.from_numpy(_markov_chain(random, train_size + test_size, num_symbols))
    return TextSplits((text_N[:train_size],), (text_N[train_size:],), num_symbols, None)


def _markov_chain(
    random: np.random.RandomState, length: int, num_symbols: int
) -> NDArray[np.int64]:
    """Generate a text in which every character has a few successors, shape (length,)."""
    successors = random.randint(0, num_symbols, (num_symbols, len(_PROBABILITIES)))
    # A permutation, so that every character occurs.
    successors[:, 0] = random.permutation(num_symbols)
    steps = -(-length // _CHAINS)
    ends = np.cumsum(_PROBABILITIES)[:-1]
    choices = np.searchsorted(ends, random.random_sample((steps, _CHAINS)), side="right")
    pieces = np.empty((steps, _CHAINS), dtype=np.int64)
    current = random.randint(0, num_symbols, _CHAINS)
    for step in range(steps):
        current = successors[current, choices[step]]
        pieces[step] = current
    return pieces.T.ravel()[:length]
