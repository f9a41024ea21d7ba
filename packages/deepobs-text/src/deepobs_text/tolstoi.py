"""War and Peace by Leo Tolstoy, in English."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import torch

from deepobs.data import Layout, RemoteFile
from deepobs.data.download import download_into, locked, mismatch
from deepobs.data.file_dataset import corrupt
from deepobs.files import open_atomic
from deepobs_text.text_dataset import TextSplits, divide
from deepobs_text.text_file import TextFile, decoded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from deepobs.data import DataStatus, Splits

SOURCE = RemoteFile(
    name="2600-0.txt",
    urls=(
        "https://www.gutenberg.org/files/2600/2600-0.txt",
        "https://gutenberg.pglaf.org/2/6/0/2600/2600-0.txt",
        "https://aleph.pglaf.org/2/6/0/2600/2600-0.txt",
        # Project Gutenberg replaces its texts by corrected ones; the archive keeps the earlier.
        "https://web.archive.org/web/2018id_/http://www.gutenberg.org/files/2600/2600-0.txt",
        "https://web.archive.org/web/2014id_/http://www.gutenberg.org/files/2600/2600-0.txt",
    ),
    checksum="sha256:3ed0f41cfdf660846878943bad5b9d575bcae1e4a92ee9a7f43d3c9dba2af344",
    size=3291641,
)
"""The edition with 2612948 training and 653237 test characters, last updated on March 15, 2013."""

# First and last lines of the preface of Project Gutenberg, the table of contents and the license,
# each counted from 1 in what the previous cut has left.
_SKIPPED_LINES = ((1, 29), (5, 775), (63850, 64207))

_TRAIN = "train.npy"
_TEST = "test.npy"
_VOCABULARY = "vocabulary.json"

_NUM_SYMBOLS = 83
# That of the splits of the published text.
_FINGERPRINT = "f51742cd49f293b5f7de1ba422d201d6fc013bafbff05f9b2869f5f43613e620"


class Tolstoi(TextFile):
    """War and Peace, with 83 characters numbered by decreasing frequency.

    Two arrays of ids are looked for in `tolstoi`, where a download puts them and the original
    DeepOBS had them. Otherwise the text as published by Project Gutenberg is looked for, in
    `tolstoi` or in the data directory itself, plain or compressed by gzip: it is encoded in memory,
    or once and for all by `deepobs data prepare tolstoi`.
    """

    num_symbols: int = _NUM_SYMBOLS
    synthetic_symbols: ClassVar[int] = _NUM_SYMBOLS
    layouts: ClassVar[tuple[Layout, ...]] = (
        Layout(file_names=(_TRAIN, _TEST), directories=("tolstoi",), optional=(_VOCABULARY,)),
        *(
            Layout(file_names=(name,), directories=("tolstoi", ""), suffixes=("", ".gz"))
            for name in (SOURCE.name, "war-and-peace.txt")
        ),
    )

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> TextSplits:
        """Read the arrays, of any length, or encode the published text."""
        if _TRAIN not in paths:
            return super().read(paths)
        train, test = (
            torch.from_numpy(_read_ids(paths[name], _NUM_SYMBOLS)) for name in (_TRAIN, _TEST)
        )
        vocabulary = None
        if _VOCABULARY in paths:
            vocabulary = _read_vocabulary(paths[_VOCABULARY], _NUM_SYMBOLS)
        return TextSplits((train,), (test,), _NUM_SYMBOLS, vocabulary)

    @classmethod
    def text(cls, path: Path, content: bytes) -> str:
        """Extract the novel from the published file.

        Lines end in a carriage return and a line feed: both are among its 83 characters.

        Raises:
            CorruptDataError: It is another edition, in which the lines to skip are unknown.
        """
        text = decoded(path, content)
        wrong = mismatch(io.BytesIO(content), SOURCE.checksum)
        if wrong:
            raise corrupt(
                path,
                f"{wrong}, so it is not the edition of {SOURCE.size} bytes that the novel can be "
                "extracted from",
            )
        lines = list(io.StringIO(text, newline="\n"))
        for first, last in _SKIPPED_LINES:
            del lines[first - 1 : last]
        return "".join(lines)

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        """The published text, of which only the arrays are kept."""
        return [SOURCE]

    @classmethod
    def download(cls, directory: Path) -> None:
        """Download and encode the text if a directory lacks one of the arrays.

        Raises:
            DownloadError: No mirror delivered it.
            DataError: The directory cannot be written to.
        """
        with locked(directory):
            if not _is_prepared(directory):
                content = io.BytesIO()
                download_into(content, SOURCE)
                path = directory / SOURCE.name
                _save(divide(path, cls.text(path, content.getvalue())), directory)

    @classmethod
    def prepare(cls, data_dir: Path) -> DataStatus:
        """Store the arrays of an existing or downloaded text, and verify them.

        Raises:
            DataError: They are unavailable, cannot be stored, or are corrupt.
        """
        directory = cls._download_place(data_dir)
        if not _is_prepared(directory):
            splits = cast("TextSplits", cls.load(data_dir))
            with locked(directory):
                if not _is_prepared(directory):  # `load` may have downloaded them
                    _save(splits, directory)
        return cls.verify(data_dir)

    @classmethod
    def _authenticity(cls, paths: Mapping[str, Path], splits: Splits) -> str:
        # Not by checksums of files: arrays and text are the same data in several formats.
        del paths
        return ", as published" if splits.fingerprint == _FINGERPRINT else ", not as published"


def _is_prepared(directory: Path) -> bool:
    return all((directory / name).is_file() for name in (_TRAIN, _TEST))


def _save(splits: TextSplits, directory: Path) -> None:
    """Write the vocabulary and the arrays."""
    # The vocabulary first: arrays alone count as complete, and a kill must not leave them without.
    vocabulary = json.dumps(splits.vocabulary, ensure_ascii=False)
    with open_atomic(directory / _VOCABULARY, is_locked=True) as stream:
        stream.write(f"{vocabulary}\n".encode())
    for name, (ids,) in ((_TEST, splits.test), (_TRAIN, splits.train)):
        with open_atomic(directory / name, is_locked=True) as stream:
            np.save(stream, ids.numpy(), allow_pickle=False)


def _read_ids(path: Path, num_symbols: int) -> NDArray[np.int64]:
    """Read an array of ids of any integer type, shape (characters,)."""
    try:
        # Mapped, so that the header cannot claim more than the file holds; and never unpickled.
        stored = np.lib.format.open_memmap(path, mode="r")
    except OSError:  # not about its content
        raise
    except Exception as error:  # NumPy raises many kinds for a damaged header
        raise corrupt(path, f"it is not an array of integers ({error})") from error
    if stored.ndim != 1:
        raise corrupt(path, f"its array has the shape {stored.shape} instead of (characters,)")
    if stored.dtype.kind not in "iu":
        raise corrupt(path, f"its array is of type {stored.dtype} instead of integers")
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


def _read_vocabulary(path: Path, num_symbols: int) -> tuple[str, ...]:
    """Read the character of each id; the original's `vocab.pkl`, a pickle, is ignored."""
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
