"""Any text as a data set: divided into a training and a test text, with its own vocabulary."""

from __future__ import annotations

import keyword
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from deepobs.data.layout import Layout
from deepobs.errors import DataError, MissingDataError
from deepobs.plugins import DatasetSpec
from deepobs_text.dataset import TextDataSet
from deepobs_text.plain_text import decoded, read_content
from deepobs_text.text_splits import divided

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from deepobs.data.download import RemoteFile
    from deepobs_text.text_splits import TextSplits


class TextFile(TextDataSet):
    """A text in a single file of UTF-8, plain or compressed by gzip.

    The first four fifths are for training, the rest for testing. Characters are numbered by
    decreasing frequency in the whole text. A byte order mark is dropped, and line ends of Windows
    become those of Unix.

    A subclass says in `layouts` where the file may be, one name a layout, and in `remote_files`
    where it can be had, if anywhere.
    """

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> TextSplits:
        """Read the file, number its characters and divide it."""
        (path,) = paths.values()
        return divided(path, cls.text(path, read_content(path)))

    @classmethod
    def text(cls, path: Path, content: bytes) -> str:
        """What to make of the file.

        Args:
            path: Where it is, for messages.
            content: Its bytes, unpacked.

        Raises:
            CorruptDataError: It is not what it should be.
        """
        return decoded(path, content).replace("\r\n", "\n")

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        """None, unless a subclass knows where the file can be had."""
        return []


def text_data_set(path: str | os.PathLike[str], name: str | None = None) -> type[TextFile]:
    """Make a data set of any text: `text_data_set("my.txt")(batch_size=20)`.

    It has no synthetic twin: where synthetic data are asked for, the text is used all the same.

    Args:
        path: A file of UTF-8, plain or compressed by gzip.
        name: What the data set is called; by default after the file.

    Returns:
        The class of the data set, as `deepobs.pytorch.datasets` has them for registered texts.

    Raises:
        MissingDataError: There is no such file.
        CorruptDataError: It is not UTF-8, or has too few characters.
        DataError: It cannot be read.
        SpecError: The name is no identifier.
    """
    file = Path(path).expanduser().absolute()

    class UserText(TextFile):
        """The first four fifths are for training, the rest for testing."""

        has_fake_twin: ClassVar[bool] = False
        layouts: ClassVar[tuple[Layout, ...]] = (
            Layout(file_names=(file.name,), directories=(str(file.parent),)),
        )

        @classmethod
        def _missing(cls, data_dir: Path, reason: str = "") -> MissingDataError:
            # No other directory and no synthetic twin can stand in for a file that was named.
            del data_dir, reason
            return _no_text(file)

    splits = _read_now(UserText, file)
    spec = DatasetSpec(
        name=_name_of(file) if name is None else name,
        target=f"{__name__}:{TextFile.__name__}",
        summary=f"{file.name}, a character at a time",
        train_size=len(splits.train[0]),
        test_size=len(splits.test[0]),
        example="ids of characters, and of those that follow",
    )
    return UserText.bind(spec)


def _read_now(dataset: type[TextFile], file: Path) -> TextSplits:
    try:
        return dataset.read({file.name: file})
    except FileNotFoundError as error:
        raise _no_text(file) from error
    except OSError as error:
        raise DataError(
            f"The text {file} cannot be read: {error.strerror or error}. "
            "Give this user the right to read it."
        ) from error


def _no_text(file: Path) -> MissingDataError:
    return MissingDataError(f"There is no text {file}. Give the path of a file.")


def _name_of(file: Path) -> str:
    """A name that a data set may have, after that of a file: "my_text" for "My text.txt.gz"."""
    stem = PurePath(file.name.lower().removesuffix(".gz")).stem
    words = re.sub(r"\W+", "_", stem).strip("_")
    is_name = words.isidentifier() and not keyword.iskeyword(words)
    return words if is_name else f"text_{words}".rstrip("_")
