"""War and Peace by Lev Tolstoi, in English."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, ClassVar, cast

from deepobs.data.download import download_into, locked
from deepobs.data.layout import Layout
from deepobs_text import gutenberg
from deepobs_text.arrays import TEST, TRAIN, VOCABULARY, read_splits, save_splits
from deepobs_text.text_file import TextFile
from deepobs_text.text_splits import divided

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs.data.base import DataStatus
    from deepobs.data.download import RemoteFile
    from deepobs.data.tensor_dataset import Splits
    from deepobs_text.text_splits import TextSplits

_NUM_SYMBOLS = 83
_FINGERPRINT = "f51742cd49f293b5f7de1ba422d201d6fc013bafbff05f9b2869f5f43613e620"
"""That of the splits of the published text."""


class Tolstoi(TextFile):
    """War and Peace, the 83 characters of which are numbered by decreasing frequency.

    Two arrays of ids are looked for in `tolstoi`: there a download leaves them, and there the
    original DeepOBS has them. Else the text as Project Gutenberg published it is looked for, in
    `tolstoi` or in the data directory itself, plain or compressed by gzip: it is cut and encoded in
    memory, or by `deepobs data prepare tolstoi` once and for all.
    """

    num_symbols: int = _NUM_SYMBOLS
    synthetic_symbols: ClassVar[int] = _NUM_SYMBOLS
    layouts: ClassVar[tuple[Layout, ...]] = (
        Layout(file_names=(TRAIN, TEST), directories=("tolstoi",), optional=(VOCABULARY,)),
        *(
            Layout(file_names=(name,), directories=("tolstoi", ""), suffixes=("", ".gz"))
            for name in (gutenberg.SOURCE.name, "war-and-peace.txt")
        ),
    )

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> TextSplits:
        """Read the arrays, however long they are, or encode the published text."""
        return read_splits(paths, _NUM_SYMBOLS) if TRAIN in paths else super().read(paths)

    @classmethod
    def text(cls, path: Path, content: bytes) -> str:
        """The novel, out of the published file."""
        return gutenberg.novel(path, content)

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        """The text as it was published; what is kept of it are the arrays."""
        return [gutenberg.SOURCE]

    @classmethod
    def download(cls, directory: Path) -> None:
        """Get the text, encode it and store the arrays where a directory lacks one of them.

        Raises:
            DownloadError: No mirror delivered it.
            DataError: The directory cannot be written to.
        """
        with locked(directory):
            if not cls._is_prepared(directory):
                content = io.BytesIO()
                download_into(content, gutenberg.SOURCE)
                source = directory / gutenberg.SOURCE.name
                save_splits(divided(source, cls.text(source, content.getvalue())), directory)

    @classmethod
    def prepare(cls, data_dir: Path) -> DataStatus:
        """Store the arrays, of a text that is there or is downloaded, and check them.

        Raises:
            DataError: They could not be had or stored, or are broken.
        """
        directory = cls._download_place(data_dir)
        if not cls._is_prepared(directory):
            splits = cast("TextSplits", cls.load(data_dir))
            with locked(directory):
                if not cls._is_prepared(directory):  # as a download leaves it
                    save_splits(splits, directory)
        return cls.verify(data_dir)

    @classmethod
    def _is_prepared(cls, directory: Path) -> bool:
        return all((directory / name).is_file() for name in (TRAIN, TEST))

    @classmethod
    def _authenticity(cls, paths: Mapping[str, Path], splits: Splits) -> str:
        """Whether this is the published text, in whichever form it is there."""
        del paths
        return ", as published" if splits.fingerprint == _FINGERPRINT else ", not as published"
