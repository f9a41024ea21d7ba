"""JPEG and PNG files in one folder per class, as for torchvision's `ImageFolder`."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from deepobs.errors import CorruptDataError, MissingDataError
from deepobs_vision.workers import in_workers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".jpeg", ".jpg", ".png")
"""Suffixes of image files, in lower or upper case."""

_FORMATS = ("JPEG", "PNG")
_MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")
"""Pillow's pixel formats that convert to RGB bytes without loss of range."""

_NAMED = 3
"""Number of classes without a counterpart that a message names."""

_CHECKED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file that is yet to be decoded."""

    path: str

    def decode(self) -> NDArray[np.uint8]:
        """Decode a JPEG or PNG file, whatever its suffix; other pixel formats are converted to RGB.

        Returns:
            Bytes of shape (height, width, 3).

        Raises:
            CorruptDataError: It cannot be read, is damaged, or larger than Pillow deems safe.
        """
        try:
            with warnings.catch_warnings():
                # Photographs have all kinds of broken metadata, which are not used.
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                return _decoded(self.path)
        except Exception as error:  # decoders raise anything for a broken file
            raise CorruptDataError(
                f"The image {self.path} cannot be used: {_reason(error)}. "
                "Replace it with a good copy."
            ) from error


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The image files of the training or the test set, sorted by class and name.

    Attributes:
        directory: Parent of the class folders.
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
        folder = self.classes[self.labels[row] - 1]
        return ImageFile(os.path.join(self.directory, folder, self.names[row]))  # noqa: PTH118 # fast

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the paths relative to the grandparent directory."""
        # Not of the contents: to read the images of ImageNet takes longer than some runs.
        digest = hashlib.sha256()
        for label, name in zip(self.labels.tolist(), self.names, strict=True):
            path = f"{self.directory.name}/{self.classes[label - 1]}/{name}\n"
            digest.update(os.fsencode(path))
        return digest.hexdigest()


def read_folder(directory: Path, classes: list[str]) -> ImageFolder:
    """List the image files of all classes, without opening any.

    Args:
        directory: Parent of the class folders.
        classes: The sorted names of these folders.

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


def require_same_classes(first: Path, second: Path) -> list[str]:
    """Return the sorted names of the class folders of two directories, which must be the same.

    Raises:
        MissingDataError: A directory is missing or lacks folders.
        OSError: One of them cannot be read.
    """
    names, others = _class_folders(first), _class_folders(second)
    differences = [
        f"only {directory} has {_some(sorted(set(has) - set(lacks)))}"
        for directory, has, lacks in ((first, names, others), (second, others, names))
        if set(has) - set(lacks)
    ]
    if differences:
        raise MissingDataError(f"the class folders differ: {'; '.join(differences)}")
    return names


def broken_images(folder: ImageFolder) -> list[str]:
    """Decode all images in worker processes.

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


def _decoded(path: str) -> NDArray[np.uint8]:
    with Image.open(path, formats=_FORMATS) as image:
        if image.mode not in _MODES:
            raise ValueError(f"its pixel format is {image.mode}, not 8 bits per channel")
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is neither a JPEG nor a PNG image"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return reason.rstrip(".") or type(error).__name__


def _class_folders(directory: Path) -> list[str]:
    """The sorted names of the folders in a directory, ignoring hidden ones and files."""
    if not directory.is_dir():
        raise MissingDataError(f"there is no directory {directory}")
    with os.scandir(directory) as entries:
        names = [
            entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()
        ]
    if not names:
        raise MissingDataError(f"{directory} holds no folders, and each class needs one")
    return sorted(names)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
