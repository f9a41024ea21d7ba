"""ImageNet (ILSVRC 2012), streamed from image files in one folder per class."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from deepobs.data import BaseDataSet, DataStatus
from deepobs.data.file_dataset import OTHERWISE
from deepobs.errors import CorruptDataError, DataError, MissingDataError, sentences
from deepobs_vision.images import synthetic_size
from deepobs_vision.streaming_images import (
    CROP_SIDE,
    ImageStore,
    StreamedImages,
    StreamingImageLoader,
    SyntheticImages,
)
from deepobs_vision.workers import in_workers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_NUM_WNIDS = 1000
_TRAIN, _TEST = "train", "val"

# Number of broken images, or of folders without a counterpart, that a message names.
_NAMED = 3

SUFFIXES = (".jpeg", ".jpg", ".png")
"""Suffixes of image files, in lower or upper case."""

_FORMATS = ("JPEG", "PNG")
# Pillow's pixel formats that convert to RGB bytes without loss of range.
_MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")

_CHECKED_AT_ONCE = 64


@dataclass(frozen=True)
class StreamedSplits:
    """Training set, test set (published for validation) and SHA-256 of their identity."""

    train: StreamedImages
    test: StreamedImages
    fingerprint: str


class ImageNet(BaseDataSet[StreamedImages]):
    """Color photographs in 1000 classes, cropped to 224x224 pixels and standardized one by one.

    They are read from `imagenet/train/<wnid>/*.JPEG` and `imagenet/val/<wnid>/*.JPEG` below the
    data directory, where the user puts them. Labels 1 to 1000 are the sorted wnids; 0 is the
    background class, to which no image belongs. The smaller side is resized to 256; for training, a
    random crop of the central square is taken, and half of the images are flipped. Images are
    decoded by `config.get_num_workers()` processes.
    """

    image_shape: ClassVar[tuple[int, int, int]] = (3, CROP_SIDE, CROP_SIDE)
    num_classes: ClassVar[int] = _NUM_WNIDS + 1
    train_eval_size: ClassVar[int] = 50000

    @classmethod
    def load(cls, data_dir: Path) -> StreamedSplits:
        """List the image files, without opening any.

        Raises:
            DataError: Folders are missing, empty, unreadable or too many, or those of train and val
                differ.
        """
        train, test = cls._folders(data_dir)
        return StreamedSplits(_all_of(train), _all_of(test), _fingerprint(train, test))

    @classmethod
    def make_fake(cls, fraction: float) -> StreamedSplits:
        """Describe learnable images with the real labels, at least a few hundred."""
        name = cls.spec.name
        train, test = (
            SyntheticImages(name, split, synthetic_size(real_size, fraction), _NUM_WNIDS)
            for split, real_size in (("train", cls.spec.train_size), ("test", cls.spec.test_size))
        )
        identity = f"synthetic {name} {len(train)} {len(test)}"
        fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        return StreamedSplits(_all_of(train), _all_of(test), fingerprint)

    @staticmethod
    def count(examples: StreamedImages) -> int:
        """Number of images."""
        return len(examples)

    @staticmethod
    def choose(examples: StreamedImages, rows: NDArray[np.int64]) -> StreamedImages:
        """Select images by increasing row numbers."""
        return StreamedImages(examples.store, examples.rows[rows])

    def training_loader(self, examples: StreamedImages, *, reshuffle: bool) -> StreamingImageLoader:
        """Build the loader of full batches of random crops in random order."""
        return self._loader(examples, generator=self.generator, reshuffle=reshuffle)

    def evaluation_loader(
        self, examples: StreamedImages, *, drop_remainder: bool
    ) -> StreamingImageLoader:
        """Build a loader of batches of central crops, in the order of the files."""
        return self._loader(examples, drop_remainder=drop_remainder)

    def _loader(self, examples: StreamedImages, **arguments: Any) -> StreamingImageLoader:
        return StreamingImageLoader(
            examples, self.batch_size, device=self.device, dtype=self.dtype, **arguments
        )

    @classmethod
    def status(cls, data_dir: Path) -> DataStatus:
        """Check whether all folders are present, opening only that of the first class."""
        root = _root(data_dir)
        try:
            classes = _classes(root)
            for part in (_TRAIN, _TEST):
                read_folder(root / part, classes[:1])
        except MissingDataError as error:
            return DataStatus("missing", str(error), root)
        return DataStatus("ready", f"{_number_of(classes)}, images not verified", root)

    @classmethod
    def prepare(cls, data_dir: Path) -> DataStatus:
        """Verify the images, which only the user can provide."""
        return cls.verify(data_dir)

    @classmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Decode every image."""
        train, test = cls._folders(data_dir)
        total = len(train) + len(test)
        broken = [*broken_images(train), *broken_images(test)]
        if broken:
            raise CorruptDataError(
                sentences(
                    f"The data set {cls.spec.name!r} cannot be used: {len(broken)} of its {total} "
                    "images are broken.",
                    *broken[:_NAMED],
                    f"And {len(broken) - _NAMED} more." if len(broken) > _NAMED else "",
                    f"Replace them with good copies and run `deepobs data verify {cls.spec.name}`.",
                )
            )
        sizes = cls.described_sizes(len(train), len(test))
        fingerprint = _fingerprint(train, test)[:12]
        detail = f"{sizes}, {_number_of(train.classes)}, fingerprint {fingerprint}"
        return DataStatus("ready", detail, _root(data_dir))

    @classmethod
    def _folders(cls, data_dir: Path) -> tuple[ImageFolder, ImageFolder]:
        """The files for training and those for testing."""
        root = _root(data_dir)
        name = cls.spec.name
        try:
            classes = _classes(root)
            return read_folder(root / _TRAIN, classes), read_folder(root / _TEST, classes)
        except MissingDataError as error:
            raise MissingDataError(
                f"The data set {name!r} is missing: {error}. It cannot be downloaded "
                "automatically. Get the images of ILSVRC 2012 from https://image-net.org and put "
                f"them into {root / _TRAIN}/<wnid>/ and {root / _TEST}/<wnid>/, one folder per "
                f"class such as n01440764, {OTHERWISE}"
            ) from error
        except OSError as error:
            raise DataError(
                f"The data set {name!r} cannot be read from {error.filename or root}: "
                f"{error.strerror or error}. Give this user permission to read it."
            ) from error


def _root(data_dir: Path) -> Path:
    return data_dir / "imagenet"


def _classes(root: Path) -> list[str]:
    """The sorted wnids, for each of which both splits have a folder."""
    classes = require_same_classes(root / _TRAIN, root / _TEST)
    if len(classes) > _NUM_WNIDS:
        raise CorruptDataError(
            f"{root / _TRAIN} holds {len(classes)} folders, one for each class, but there are "
            f"{_NUM_WNIDS} classes: remove those that do not belong to ILSVRC 2012."
        )
    return classes


def _fingerprint(train: ImageFolder, test: ImageFolder) -> str:
    return hashlib.sha256(f"{train.fingerprint}{test.fingerprint}".encode()).hexdigest()


def _number_of(classes: list[str]) -> str:
    if len(classes) == _NUM_WNIDS:
        return f"{_NUM_WNIDS} classes"
    return f"{len(classes)} {'class' if len(classes) == 1 else 'classes'} instead of {_NUM_WNIDS}"


def _all_of(store: ImageStore) -> StreamedImages:
    return StreamedImages(store, np.arange(len(store.labels)))


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

    The class of each file is counted from 1.
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
    """List the image files in the folders of sorted classes, without opening any.

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
