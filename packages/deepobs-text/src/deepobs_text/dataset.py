"""What the data sets of texts have in common: every split is one text, in its own order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from deepobs import checks
from deepobs.data.file_dataset import FileDataSet
from deepobs.errors import ArgumentError
from deepobs_text.sequences import StreamLoader, window_loader
from deepobs_text.synthetic import synthetic_text

if TYPE_CHECKING:
    import torch

    from deepobs.data.base import StoredSplits
    from deepobs.data.tensor_dataset import Examples
    from deepobs.protocols import Loader
    from deepobs_text.text_splits import TextSplits


class TextDataSet(FileDataSet):
    """A text divided into splits, of which a model predicts each next character.

    A split is a text, and its size a number of characters: held out for validation is the end of
    the training text, and `train_eval` is the beginning of what is left. A batch has the ids of
    characters and of those that follow, both int64 of shape (batch, sequence).

    Every loader reads its text at as many places at once as a batch has sequences, so that each
    batch goes on where the one before ended. With `shuffles`, a text is cut into sequences instead,
    which are taken in random order for training, and in their own for evaluation. A few characters
    at the end of a text are never read: they would make sequences of unequal length.

    Further arguments and attributes are those of `BaseDataSet`.

    Args:
        batch_size: Sequences a batch.
        device: Where the batches live; `None` for `config.get_default_device()`.
        validation_size: Number of training characters that `valid_loader` holds out.
        drop_remainder: Whether evaluation leaves out the last batch, of shorter sequences or, with
            `shuffles`, of fewer; training always does.
        reshuffle: Whether every pass over the training set has a new order, or all have the same.
            It matters only where sequences are shuffled.
        sequence_length: Characters of a sequence.
        shuffles: Whether training takes the sequences in random order, for models that remember
            nothing from batch to batch.

    Attributes:
        num_symbols: Ids run from 0 to one less.
        vocabulary: Which character each id stands for, `None` where it is not known.
        synthetic_symbols: How many symbols a synthetic twin has.
        train_eval_size: How many characters the training loss is measured on; by default as many as
            the test text of War and Peace has.
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
        )

    @classmethod
    def make_fake(cls, fraction: float) -> TextSplits:
        """Make a text that can be learnt, with the real split sizes.

        Args:
            fraction: The size of each split as a fraction of the real one, in (0, 1]; some batches
                are made in any case.
        """
        return synthetic_text(cls.spec, cls.synthetic_symbols, fraction)

    def training_loader(self, examples: Examples, *, reshuffle: bool) -> Loader:
        """What yields full batches, in the order of the text or in one that `generator` draws.

        Args:
            examples: The text to train on.
            reshuffle: Whether every pass has a new order, or all have that of the first.
        """
        (ids,) = self._on_device(examples)
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
        """What yields batches in the order of the text.

        Args:
            examples: The text to evaluate on.
            drop_remainder: Whether to leave out the last, smaller batch.
        """
        (ids,) = self._on_device(examples)
        sizes = self.batch_size, self.sequence_length
        if not self.shuffles:
            return StreamLoader(ids, *sizes, drop_remainder=drop_remainder)
        return window_loader(ids, *sizes, generator=None, drop_remainder=drop_remainder)

    def _remember(self, splits: StoredSplits[Examples]) -> None:
        text = cast("TextSplits", splits)  # as `make_fake` and every `read` of a text returns
        self.num_symbols = text.num_symbols
        self.vocabulary = text.vocabulary

    def _parts(self, splits: StoredSplits[Examples], validation_size: int) -> dict[str, Examples]:
        """Divide the training text into stretches: examples chosen at random would be no text."""
        (ids,) = splits.train
        checks.integer("validation_size", validation_size, least=0, most=len(ids) - 1)
        kept = ids[: len(ids) - validation_size]
        parts: dict[str, Examples] = {
            "train": (kept,),
            "train_eval": (kept[: self.train_eval_size],),
        }
        if validation_size:
            parts["valid"] = (ids[len(kept) :],)
        return parts | {"test": splits.test}

    def _check_batch_size(self) -> None:
        """Every split must have a batch, whether it is read in order or shuffled."""
        shortest = min(self.split_sizes, key=lambda name: self.split_sizes[name])
        size = self.split_sizes[shortest]
        needed = self.batch_size * self.sequence_length + 1
        if size < needed:
            raise ArgumentError(
                f"The text of {self.name} is too short for batches of {self.batch_size} sequences "
                f"of {self.sequence_length} characters: its {shortest} split has {size} "
                f"characters, and {needed} are needed ({self.batch_size} x {self.sequence_length}, "
                "and one more to predict). Choose a smaller batch_size or sequence_length, "
                f"{self._way_to_lengthen(shortest)}."
            )

    def _way_to_lengthen(self, split: str) -> str:
        if "valid" not in self.split_sizes or split == "test":
            return "or take a longer text"
        return f"or a {'larger' if split == 'valid' else 'smaller'} validation_size"
