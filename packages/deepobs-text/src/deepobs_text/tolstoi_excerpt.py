"""Book One of War and Peace, which comes with the package."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from deepobs.data.file_dataset import corrupt, unpacked
from deepobs.data.tensor_dataset import EmbeddedDataSet
from deepobs_text.text_dataset import TextDataSet, TextSplits, divide

if TYPE_CHECKING:
    from deepobs.data import DataStatus

FILE_NAME = "tolstoi_excerpt.txt.gz"
"""The text in this package, UTF-8 compressed by gzip."""

_NUM_SYMBOLS = 76
_FINGERPRINT = "1f22fe901b1ed11ecd6b01ab913e30f34729113f68a0fe0ac67244c5140de406"


class TolstoiExcerpt(TextDataSet, EmbeddedDataSet):
    """Book One of War and Peace: 271565 characters, 76 symbols, no download.

    The 28 chapters of the book, without its heading, of the edition that `tolstoi` reads. As there,
    the first four fifths are for training, the rest for testing, and characters are numbered by
    decreasing frequency in the whole text. Lines end in a line feed alone.

    References:
        Leo Tolstoy: War and Peace, 1869, translated by Louise and Aylmer Maude; Project Gutenberg
        eBook 2600, last updated on March 15, 2013, which is in the public domain in the United
        States.
    """

    synthetic_symbols: ClassVar[int] = _NUM_SYMBOLS
    train_eval_size: ClassVar[int] = 54313
    origin: ClassVar[str] = "comes with deepobs-text"

    @classmethod
    def load(cls, data_dir: Path) -> TextSplits:
        """Read the text from this package."""
        del data_dir
        return _book_one()

    @classmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Compare the text with that of the published results.

        Raises:
            CorruptDataError: The file of this package is another one.
        """
        found = cls.load(data_dir).fingerprint
        if found != _FINGERPRINT:
            raise corrupt(
                _path(),
                f"its fingerprint is {found} instead of {_FINGERPRINT}; install deepobs-text again",
            )
        return cls.status(data_dir)


# Tuning and sweeps make many runs in one process, which should encode the text only once.
@functools.cache
def _book_one() -> TextSplits:
    path = _path()
    with unpacked(path) as stream:
        return divide(path, stream.read().decode())


def _path() -> Path:
    return Path(__file__).with_name(FILE_NAME)
