"""Any text as a data set: a training and a test text with a vocabulary of their own."""

from __future__ import annotations

import keyword
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from deepobs.data import FileDataSet, Layout
from deepobs.data.file_dataset import corrupt, unpacked
from deepobs.errors import DataError, MissingDataError
from deepobs.plugins import DatasetSpec
from deepobs_text.text_dataset import TextDataSet, divide

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from deepobs.data import RemoteFile
    from deepobs_text.text_dataset import TextSplits

# Three hundred times War and Peace; the ids of a text take eight times its size in memory.
_MOST_BYTES = 2**30


class TextFile(TextDataSet, FileDataSet):
    """A text in a single UTF-8 file, plain or compressed by gzip.

    The first four fifths are for training, the rest for testing. Characters are numbered by
    decreasing frequency in the whole text. A byte order mark is dropped, and Windows line ends
    become Unix ones.

    A subclass defines in `layouts` where the file may be, one name per layout, and in
    `remote_files` where it can be downloaded, if anywhere.
    """

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> TextSplits:
        """Read, encode and divide the file."""
        (path,) = paths.values()
        with unpacked(path) as stream:
            content = stream.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise corrupt(path, f"it holds more than {_MOST_BYTES} bytes")
        return divide(path, cls.text(path, content))

    @classmethod
    def text(cls, path: Path, content: bytes) -> str:
        """Extract the text from the decompressed content of the file.

        Raises:
            CorruptDataError: It has unexpected content.
        """
        return decoded(path, content).replace("\r\n", "\n")

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        """None, unless a subclass knows a source."""
        return []


def text_data_set(path: str | os.PathLike[str], name: str | None = None) -> type[TextFile]:
    """Create a data set of any text: `text_data_set("my.txt")(batch_size=20)`.

    It has no synthetic twin: the text is used even if synthetic data are requested.

    Args:
        path: A UTF-8 file, plain or compressed by gzip.
        name: Name of the data set; by default derived from the file name.

    Returns:
        The class of the data set, like those of `deepobs.pytorch.datasets`.

    Raises:
        MissingDataError: There is no such file.
        CorruptDataError: It is not UTF-8 or too short.
        DataError: It cannot be read.
        ArgumentError: The name is not an identifier.
    """
    file = Path(path).expanduser().absolute()
    missing = MissingDataError(f"There is no text {file}. Give the path of a file.")

    class UserText(TextFile):
        """The first four fifths are for training, the rest for testing."""

        has_fake_twin: ClassVar[bool] = False
        layouts: ClassVar[tuple[Layout, ...]] = (
            Layout(file_names=(file.name,), directories=(str(file.parent),)),
        )

        @classmethod
        def _missing(cls, data_dir: Path, reason: str = "") -> MissingDataError:
            # Neither another directory nor a synthetic twin can stand in for a file that was named.
            del data_dir, reason
            return missing

    try:
        splits = UserText.read({file.name: file})
    except FileNotFoundError:
        raise missing from None
    except OSError as error:
        raise DataError(
            f"The text {file} cannot be read: {error.strerror or error}. "
            "Give this user permission to read it."
        ) from error
    spec = DatasetSpec(
        name=_name_of(file) if name is None else name,
        target=f"{__name__}:{TextFile.__name__}",
        summary=f"{file.name}, one character at a time",
        train_size=len(splits.train[0]),
        test_size=len(splits.test[0]),
        example="ids of characters, and of their successors",
    )
    return UserText.bind(spec)


def decoded(path: Path, content: bytes) -> str:
    """Decode UTF-8, without a byte order mark.

    Args:
        path: Origin of the content, for messages.
        content: The bytes.

    Raises:
        CorruptDataError: They are not UTF-8.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise corrupt(
            path,
            f"it is not text in UTF-8: the byte 0x{byte:02x} at position {error.start} cannot be "
            f"decoded ({error.reason})",
        ) from error
    return text.removeprefix("\ufeff")


def _name_of(file: Path) -> str:
    """Derive an identifier from a file name: "my_text" from "My text.txt.gz"."""
    stem = PurePath(file.name.lower().removesuffix(".gz")).stem
    words = re.sub(r"\W+", "_", stem).strip("_")
    is_name = words.isidentifier() and not keyword.iskeyword(words)
    return words if is_name else f"text_{words}".rstrip("_")
