"""Where the files of a data set are, whether they are there, and how a broken one is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deepobs.errors import CorruptDataError

if TYPE_CHECKING:
    from pathlib import Path


OTHERWISE = (
    "or name another data directory by --data-dir or DEEPOBS_DATA_DIR. "
    "Synthetic data stand in with `--fake-data` or DEEPOBS_FAKE_DATA=1."
)
"""What else to do about missing data: how a sentence ends that says where to put them."""

_MOST_NAMES = 4
"""More names than this are not listed one by one."""


@dataclass(frozen=True, slots=True)
class DataStatus:
    """Whether a data set can be used.

    Attributes:
        state: `ready`; `embedded` in a package or generated, so always there; or `missing`.
        detail: What is there or what is missing, in a line.
        path: The directory it was found in or would be put into, `None` where it has none.
    """

    state: Literal["ready", "embedded", "missing"]
    detail: str
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Files that make up a data set, and the places where they may be.

    A data set that comes in several forms has several layouts, with different names of files.

    Attributes:
        file_names: Their names.
        directories: Where to look, below the data directory, in this order. One of them has all of
            the files; a download goes into the first.
        suffixes: What may follow a name, such as ".gz", in the order of looking.
        optional: Names of further files, which are read where they lie beside the others.
    """

    file_names: tuple[str, ...]
    directories: tuple[str, ...]
    suffixes: tuple[str, ...] = ("",)
    optional: tuple[str, ...] = ()

    def places(self, data_dir: Path) -> list[Path]:
        """The directories where the files may be."""
        return [data_dir / directory for directory in self.directories]

    def find(self, data_dir: Path) -> dict[str, Path] | None:
        """The files of the first directory that has all of them, by name; or `None`."""
        for place in self.places(data_dir):
            found = self._found(place, self.file_names)
            if len(found) == len(self.file_names):
                return found | self._found(place, self.optional)
        return None

    def is_absent(self, data_dir: Path) -> bool:
        """Whether not one of the files is in any of the places."""
        return not any(self._found(place, self.file_names) for place in self.places(data_dir))

    def lacking(self, data_dir: Path) -> str:
        """Which files are absent from where, in a line that does not end in a full stop."""
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
        """The names of the files, in short where there are many."""
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
    """The error that says what is wrong with a file.

    Args:
        path: The file.
        what: A sentence without its capital and its full stop, in which "it" is the file.
    """
    return CorruptDataError(f"The file {path} is corrupt: {what}.")


def _is_file(path: Path) -> bool:
    """Whether there is a file that this user can see."""
    try:
        return path.is_file()
    except PermissionError:
        return False
