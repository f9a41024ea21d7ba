"""ImageNet (ILSVRC 2012), streamed from image files, and its synthetic twin."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from deepobs.data import BaseDataSet, DataStatus
from deepobs.data.layout import OTHERWISE
from deepobs.errors import CorruptDataError, DataError, MissingDataError, sentences
from deepobs_vision.image_folders import (
    ImageFolder,
    broken_images,
    read_folder,
    require_same_classes,
)
from deepobs_vision.images import synthetic_size
from deepobs_vision.streaming_images import (
    CROP_SIDE,
    ImageStore,
    StreamedImages,
    StreamingImageLoader,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_NUM_WNIDS = 1000
_TRAIN, _TEST = "train", "val"

_NAMED = 3
"""Number of broken images that a message names."""

_HEIGHT, _WIDTH, _CHANNELS = 375, 500, 3
"""The most common size of an image of ImageNet."""

_FIELDS = 8
"""Rows and columns of the pattern of a synthetic class: coarse, so that it is learned soon."""

_NOISE_LIMIT = 128
"""Pattern and noise are each below this power of two, so that their sum is a byte."""


@dataclass(frozen=True)
class StreamedSplits:
    """Training and test set.

    Attributes:
        train: The training set.
        test: The test set; for ImageNet, the images published for validation.
        fingerprint: SHA-256 of what identifies them, as hexadecimal digits.
    """

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

    Attributes:
        image_shape: Channels, height and width.
        num_classes: Labels run from 0 to one less.
    """

    image_shape: ClassVar[tuple[int, int, int]] = (3, CROP_SIDE, CROP_SIDE)
    num_classes: ClassVar[int] = _NUM_WNIDS + 1
    train_eval_size: ClassVar[int] = 50000

    @classmethod
    def load(cls, data_dir: Path) -> StreamedSplits:
        """List the image files, without opening any.

        Raises:
            MissingDataError: Folders are missing or empty, or those of train and val differ.
            CorruptDataError: There are too many classes.
            DataError: A folder cannot be read.
        """
        train, test = cls._folders(data_dir)
        return StreamedSplits(_all_of(train), _all_of(test), _fingerprint(train, test))

    @classmethod
    def make_fake(cls, fraction: float) -> StreamedSplits:
        """Describe learnable images with the real labels.

        Args:
            fraction: Size of each split as a fraction of the real one, in (0, 1]; at least a few
                hundred images are made.
        """
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
        return StreamingImageLoader(
            examples,
            self.batch_size,
            device=self.device,
            dtype=self.dtype,
            generator=self.generator,
            reshuffle=reshuffle,
        )

    def evaluation_loader(
        self, examples: StreamedImages, *, drop_remainder: bool
    ) -> StreamingImageLoader:
        """Build a loader of batches of central crops, in the order of the files."""
        return StreamingImageLoader(
            examples,
            self.batch_size,
            device=self.device,
            dtype=self.dtype,
            drop_remainder=drop_remainder,
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
        """Verify the images, which only the user can provide.

        Raises:
            DataError: They are missing or corrupt.
        """
        return cls.verify(data_dir)

    @classmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Decode every image.

        Raises:
            DataError: Folders are missing, or images are corrupt.
        """
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


@dataclass(frozen=True, slots=True)
class SyntheticImage:
    """An image that is generated when it is decoded: many large ones would not fit into memory.

    Attributes:
        pattern: Brightness below 128 of the fields, uint8 of shape (8, 8, 3).
        seed: Seed of the noise.
    """

    pattern: NDArray[np.uint8]
    seed: tuple[int, ...]

    def decode(self) -> NDArray[np.uint8]:
        """The pixels, shape (375, 500, 3)."""
        num_bytes = _HEIGHT * _WIDTH * _CHANNELS
        # NumPy guarantees the raw stream of SFC64, and global generators stay as they are.
        words = np.random.SFC64(self.seed).random_raw(num_bytes // 8 + 1)
        noise = words.view(np.uint8)[:num_bytes] & (_NOISE_LIMIT - 1)
        rows, columns = (
            np.bincount(np.arange(side) * _FIELDS // side) for side in (_HEIGHT, _WIDTH)
        )
        pattern = self.pattern.repeat(columns, axis=1).repeat(rows, axis=0)
        pattern += noise.reshape(pattern.shape)
        return pattern


class SyntheticImages:
    """A synthetic training or test set, with a coarse pattern for each class.

    Args:
        name: Determines the patterns.
        split: Distinguishes the noise of the training set from that of the test set.
        size: Number of images.
        num_classes: Labels run from 1 to this, and all are about equally frequent.

    Attributes:
        labels: The label of each image.
    """

    def __init__(self, name: str, split: str, size: int, num_classes: int) -> None:
        random = np.random.RandomState(zlib.crc32(name.encode()))
        shape = (num_classes, _FIELDS, _FIELDS, _CHANNELS)
        self._patterns = random.randint(0, _NOISE_LIMIT, shape, dtype=np.uint8)
        self._seed = zlib.crc32(f"{name} {split}".encode())
        random = np.random.RandomState(self._seed)
        self.labels: NDArray[np.int64] = random.permutation(np.arange(size) % num_classes) + 1

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> SyntheticImage:
        return SyntheticImage(self._patterns[self.labels[row] - 1], (self._seed, int(row)))


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
