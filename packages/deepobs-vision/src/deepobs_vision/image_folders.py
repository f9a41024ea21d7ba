"""Image files in a folder for each class, as torchvision's `ImageFolder` wants them, too."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepobs.errors import CorruptDataError, MissingDataError
from deepobs_vision.decoding import decoded
from deepobs_vision.workers import in_workers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".jpeg", ".jpg", ".png")
"""What the name of an image ends in, in small or capital letters."""

_NAMED = 3
"""So many classes that only one directory has are named."""

_CHECKED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file that has yet to be decoded."""

    path: str

    def decode(self) -> NDArray[np.uint8]:
        """The pixels, shape (height, width, 3).

        Raises:
            CorruptDataError: It cannot be decoded.
        """
        return decoded(self.path)


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The image files of the training or the test set, sorted by class and name.

    Attributes:
        directory: Where the folders of the classes are.
        classes: The names of these folders.
        names: The name of each file.
        labels: The class of each file, counted from 1.
    """

    directory: Path
    classes: list[str]
    names: list[str]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> ImageFile:
        """One of the files."""
        folder = self.classes[self.labels[row] - 1]
        return ImageFile(os.path.join(self.directory, folder, self.names[row]))  # noqa: PTH118 # fast

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the paths from the parent directory on, of which no file is opened."""
        digest = hashlib.sha256()
        for label, name in zip(self.labels.tolist(), self.names, strict=True):
            path = f"{self.directory.name}/{self.classes[label - 1]}/{name}\n"
            digest.update(os.fsencode(path))
        return digest.hexdigest()


def class_folders(directory: Path) -> list[str]:
    """The sorted names of the folders in a directory; hidden ones and files are ignored.

    Args:
        directory: Where to look.

    Raises:
        MissingDataError: There is no such directory, or no folder in it.
        OSError: It cannot be read.
    """
    if not directory.is_dir():
        raise MissingDataError(f"there is no directory {directory}")
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if _is_visible(entry.name) and entry.is_dir()]
    if not names:
        raise MissingDataError(f"{directory} holds no folders, of which each class needs one")
    return sorted(names)


def require_same_classes(first: Path, second: Path) -> list[str]:
    """The names of the class folders that two directories have in common, which must be all.

    Args:
        first: A directory of class folders.
        second: Another one.

    Raises:
        MissingDataError: One of them lacks folders.
        OSError: One of them cannot be read.
    """
    names, others = class_folders(first), class_folders(second)
    differences = [
        f"only {directory} has {_some(sorted(set(has) - set(lacks)))}"
        for directory, has, lacks in ((first, names, others), (second, others, names))
        if set(has) - set(lacks)
    ]
    if differences:
        raise MissingDataError(f"the folders of the classes differ: {'; '.join(differences)}")
    return names


def read_folder(directory: Path, classes: list[str]) -> ImageFolder:
    """List the image files of all classes, without opening any.

    Args:
        directory: Where the folders of the classes are.
        classes: The names of these folders, sorted.

    Raises:
        MissingDataError: A folder holds no image.
        OSError: A folder cannot be read.
    """
    names: list[str] = []
    sizes = []
    for folder in classes:
        found = [name for name in os.listdir(directory / folder) if _is_image(name)]  # noqa: PTH208 # names
        if not found:
            raise MissingDataError(
                f"{directory / folder} holds no image, a file ending in {', '.join(SUFFIXES)}"
            )
        names += sorted(found)
        sizes.append(len(found))
    labels = np.repeat(np.arange(1, len(classes) + 1), sizes)
    return ImageFolder(directory, classes, names, labels)


def broken_images(folder: ImageFolder) -> list[str]:
    """Decode all images, in worker processes.

    Args:
        folder: The files to check.

    Returns:
        A sentence about each one that cannot be decoded.
    """
    portions = range(0, len(folder), _CHECKED_AT_ONCE)
    requests = (
        [folder[row] for row in range(start, min(start + _CHECKED_AT_ONCE, len(folder)))]
        for start in portions
    )
    found = in_workers(_complaints, requests, num_portions=len(portions))
    return list(itertools.chain.from_iterable(found))


def _complaints(files: list[ImageFile]) -> list[str]:
    complaints = []
    for file in files:
        try:
            file.decode()
        except CorruptDataError as error:
            complaints.append(str(error))
    return complaints


def _is_visible(name: str) -> bool:
    return not name.startswith(".")


def _is_image(name: str) -> bool:
    return _is_visible(name) and name.lower().endswith(SUFFIXES)


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
