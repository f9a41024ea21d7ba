"""The files of a data set: where they may be, how to open them, and the error if corrupt."""

from __future__ import annotations

import gzip
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from deepobs.errors import CorruptDataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHERWISE = (
    "or name another data directory by --data-dir or DEEPOBS_DATA_DIR. "
    "Synthetic data stand in with `--fake-data` or DEEPOBS_FAKE_DATA=1."
)
"""Alternatives to providing missing data: the end of a sentence that says where to put them."""

_GZIP_MAGIC = b"\x1f\x8b"

_MOST_NAMES = 4
"""More file names than this are abbreviated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Files that make up a data set, and the directories they may be in.

    A data set published in several formats has one layout for each, with different file names.

    Attributes:
        file_names: Names of the required files.
        directories: Candidates below the data directory, in order of preference. One of them must
            hold all of the files; a download goes to the first.
        suffixes: What may follow a name, such as ".gz", in order of preference.
        optional: Names of further files, read if present in the same directory.
    """

    file_names: tuple[str, ...]
    directories: tuple[str, ...]
    suffixes: tuple[str, ...] = ("",)
    optional: tuple[str, ...] = ()

    def places(self, data_dir: Path) -> list[Path]:
        """The candidate directories."""
        return [data_dir / directory for directory in self.directories]

    def find(self, data_dir: Path) -> dict[str, Path] | None:
        """The files of the first complete directory, by name; or `None`."""
        for place in self.places(data_dir):
            found = self._found(place, self.file_names)
            if len(found) == len(self.file_names):
                return found | self._found(place, self.optional)
        return None

    def is_absent(self, data_dir: Path) -> bool:
        """Whether none of the files is in any of the directories."""
        return not any(self._found(place, self.file_names) for place in self.places(data_dir))

    def lacking(self, data_dir: Path) -> str:
        """Describe which files are missing from which directories, without a final period."""
        empty, shortages = [], []
        for place in self.places(data_dir):
            found = self._found(place, self.file_names)
            absent = ", ".join(name for name in self.file_names if name not in found)
            if found:
                shortages.append(f"{place} lacks {absent}")
            else:
                empty.append(str(place))
        if empty:
            count = len(self.file_names)
            what = f"none of the {count} files" if count > 1 else f"no {self.file_names[0]}"
            shortages.append(f"{what} in {' or '.join(empty)}")
        return "; ".join(shortages)

    def __str__(self) -> str:
        names = self.file_names
        if len(names) > _MOST_NAMES:
            names = (*names[:2], "...", names[-1])
        packed = " or ".join(suffix for suffix in self.suffixes if suffix)
        return ", ".join(names) + (f", plain or with {packed}" if packed else "")

    def _found(self, place: Path, names: tuple[str, ...]) -> dict[str, Path]:
        found = {}
        for name in names:
            candidates = (place / f"{name}{suffix}" for suffix in self.suffixes)
            path = next(filter(_is_file, candidates), None)
            if path is not None:
                found[name] = path
        return found


def corrupt(path: Path, what: str) -> CorruptDataError:
    """Make the error for a file with unexpected content.

    Args:
        path: The file.
        what: A sentence without capital and period in which "it" is the file.
    """
    return CorruptDataError(f"The file {path} is corrupt: {what}.")


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain file or one compressed by gzip for reading.

    Args:
        path: The file; its first bytes tell whether it is compressed, not its name.

    Raises:
        CorruptDataError: Its compressed content is damaged or incomplete.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        is_compressed = stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        stream.seek(0)
        try:
            yield gzip.GzipFile(fileobj=stream) if is_compressed else stream
        except EOFError as error:
            raise corrupt(path, "it is truncated: its compressed content breaks off") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise corrupt(path, f"its compressed content is damaged ({error})") from error


def _is_file(path: Path) -> bool:
    # Before Python 3.14, is_file raises where a parent directory cannot be searched.
    try:
        return path.is_file()
    except PermissionError:
        return False
