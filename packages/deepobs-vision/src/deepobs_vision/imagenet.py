"""ImageNet (ILSVRC 2012), read from image files while it is used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from deepobs.data.base import BaseDataSet, DataStatus
from deepobs.data.layout import OTHERWISE
from deepobs.errors import CorruptDataError, DataError, MissingDataError, sentences
from deepobs_vision.crops import CROP_SIDE
from deepobs_vision.image_folders import (
    ImageFolder,
    broken_images,
    read_folder,
    require_same_classes,
)
from deepobs_vision.pictures import PictureLoader, Pictures, PictureStore
from deepobs_vision.synthetic import split_size
from deepobs_vision.synthetic_pictures import SyntheticPictures

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_NUM_WNIDS = 1000
_TRAIN, _TEST = "train", "val"

_NAMED = 3
"""So many broken images are named."""


@dataclass(frozen=True)
class PictureSplits:
    """Where the pictures are: the training and the test set.

    Attributes:
        train: The training set.
        test: The test set; here, the images published for validation.
        fingerprint: SHA-256 of what identifies them, in hexadecimal digits.
    """

    train: Pictures
    test: Pictures
    fingerprint: str


class ImageNet(BaseDataSet[Pictures]):
    """Colour photographs in 1000 classes, cropped to 224x224 pixels and standardised one by one.

    They are read from `imagenet/train/<wnid>/*.JPEG` and `imagenet/val/<wnid>/*.JPEG` below the
    data directory, where the user has put them. Labels 1 to 1000 are the sorted wnids, 0 is the
    background class, which no image belongs to. The smaller side is resized to 256; for training, a
    random crop of the central square is taken, and half of the images are flipped. Decoding is done
    by `config.get_num_workers()` processes.

    Attributes:
        image_shape: Channels, height and width.
        num_classes: Labels run from 0 to one less.
    """

    image_shape: ClassVar[tuple[int, int, int]] = (3, CROP_SIDE, CROP_SIDE)
    num_classes: ClassVar[int] = _NUM_WNIDS + 1
    train_eval_size: ClassVar[int] = 50000

    @classmethod
    def load(cls, data_dir: Path) -> PictureSplits:
        """List the image files; none is opened.

        Args:
            data_dir: Where data sets are kept.

        Raises:
            MissingDataError: Folders are missing or empty, or those of train and val differ.
            CorruptDataError: There are too many classes.
            DataError: A folder cannot be read.
        """
        train, test = cls._folders(data_dir)
        return PictureSplits(_all_of(train), _all_of(test), _fingerprint(train, test))

    @classmethod
    def make_fake(cls, fraction: float) -> PictureSplits:
        """Describe pictures that can be learnt, with the real labels and split sizes.

        Args:
            fraction: The size of each split as a fraction of the real one, in (0, 1]; a few hundred
                pictures are made in any case.
        """
        name = cls.spec.name
        train, test = (
            SyntheticPictures(name, split, split_size(real_size, fraction), _NUM_WNIDS)
            for split, real_size in (("train", cls.spec.train_size), ("test", cls.spec.test_size))
        )
        identity = f"synthetic {name} {len(train)} {len(test)}"
        fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        return PictureSplits(_all_of(train), _all_of(test), fingerprint)

    @staticmethod
    def count(examples: Pictures) -> int:
        """How many pictures there are."""
        return len(examples)

    @staticmethod
    def choose(examples: Pictures, rows: NDArray[np.int64]) -> Pictures:
        """Some of the pictures.

        Args:
            examples: Where to choose from.
            rows: Which ones, increasing.
        """
        return Pictures(examples.store, examples.rows[rows])

    def training_loader(self, examples: Pictures, *, reshuffle: bool) -> PictureLoader:
        """What yields full batches of random crops in random order.

        Args:
            examples: Those to train on.
            reshuffle: Whether every pass has a new order, or all have that of the first.
        """
        return PictureLoader(
            examples,
            self.batch_size,
            device=self.device,
            dtype=self.dtype,
            generator=self.generator,
            reshuffle=reshuffle,
        )

    def evaluation_loader(self, examples: Pictures, *, drop_remainder: bool) -> PictureLoader:
        """What yields batches of central crops, in the order of the files.

        Args:
            examples: Those to evaluate on.
            drop_remainder: Whether to leave out the last, smaller batch.
        """
        return PictureLoader(
            examples,
            self.batch_size,
            device=self.device,
            dtype=self.dtype,
            drop_remainder=drop_remainder,
        )

    @classmethod
    def status(cls, data_dir: Path) -> DataStatus:
        """Say whether all folders are there, looking only into that of the first class."""
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
        """Check the images, which only the user can put there.

        Raises:
            DataError: They are missing or broken.
        """
        return cls.verify(data_dir)

    @classmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Decode every image.

        Raises:
            DataError: Folders are missing, or images are broken.
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
                    "Put good copies in their place and run "
                    f"`deepobs data verify {cls.spec.name}`.",
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
                f"The data set {name!r} is missing: {error}. It cannot be downloaded for you. Get "
                "the images of ILSVRC 2012 from https://image-net.org and put them into "
                f"{root / _TRAIN}/<wnid>/ and {root / _TEST}/<wnid>/, one folder a class such as "
                f"n01440764, {OTHERWISE}"
            ) from error
        except OSError as error:
            raise DataError(
                f"The data set {name!r} cannot be read from {error.filename or root}: "
                f"{error.strerror or error}. Give this user the right to read it."
            ) from error


def _root(data_dir: Path) -> Path:
    return data_dir / "imagenet"


def _classes(root: Path) -> list[str]:
    """The sorted wnids, for each of which both parts have a folder."""
    classes = require_same_classes(root / _TRAIN, root / _TEST)
    if len(classes) > _NUM_WNIDS:
        raise CorruptDataError(
            f"{root / _TRAIN} holds {len(classes)} folders, one for each class, but there are "
            f"{_NUM_WNIDS} classes: remove what does not belong to ILSVRC 2012."
        )
    return classes


def _fingerprint(train: ImageFolder, test: ImageFolder) -> str:
    return hashlib.sha256(f"{train.fingerprint}{test.fingerprint}".encode()).hexdigest()


def _number_of(classes: list[str]) -> str:
    if len(classes) == _NUM_WNIDS:
        return f"{_NUM_WNIDS} classes"
    return f"{len(classes)} {'class' if len(classes) == 1 else 'classes'} instead of {_NUM_WNIDS}"


def _all_of(store: PictureStore) -> Pictures:
    return Pictures(store, np.arange(len(store.labels)))
