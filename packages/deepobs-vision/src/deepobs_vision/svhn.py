"""SVHN, digits of house numbers, published as MATLAB files."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np

from deepobs.data import Layout, RemoteFile
from deepobs.data.file_dataset import corrupt
from deepobs_vision.augmentation import AugmentedImages
from deepobs_vision.image_files import ImageFiles, RecordFormat, read_records

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs_vision.image_files import ImagesAndLabels

_RECORD = RecordFormat(label_counts=(10,), channels_last=True)
_TEN = 10

# Variables of images and labels, and their MATLAB classes: never objects, functions or cells.
_CLASSES = {
    "X": {"uint8"},
    "y": {"uint8", "int8", "uint16", "int16", "uint32", "int32", "single", "double"},
}


class SVHN(AugmentedImages, ImageFiles):
    """Photographs of house numbers, 32x32 pixels in ten classes, standardized one by one.

    The published files are looked for in `svhn` (also the target of a download), in `SVHN` and in
    the data directory itself, where torchvision puts them; then the records of the original DeepOBS
    in `svhn`. These hold 64000 training images: the original drops the last 9257.
    """

    image_shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    num_classes: ClassVar[int] = 10
    train_eval_size: ClassVar[int] = 26032
    flips: ClassVar[bool] = False
    layouts: ClassVar[tuple[Layout, ...]] = (
        Layout(file_names=("train_32x32.mat", "test_32x32.mat"), directories=("svhn", "SVHN", "")),
        Layout(
            file_names=(*(f"data_batch_{number}.bin" for number in range(5)), "test_batch.bin"),
            directories=("svhn",),
        ),
    )

    @classmethod
    def read_file(cls, name: str, path: Path, most: int) -> ImagesAndLabels:
        """Read a MATLAB file or a file of records."""
        return read_records(path, _RECORD, most) if name.endswith(".bin") else read_mat(path, most)

    @classmethod
    def checksums(cls) -> dict[str, str]:
        """Those known to torchvision: of the published files."""
        return {file.name: file.checksum for file in cls.remote_files()}

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        """The files, from torchvision's source."""
        import torchvision  # takes seconds, and usually nothing is downloaded

        source: Any = torchvision.datasets.SVHN
        return [
            RemoteFile(name=name, urls=(url,), checksum=f"md5:{md5}")
            for url, name, md5 in (source.split_list[split] for split in ("train", "test"))
        ]


def read_mat(path: Path, most: int) -> ImagesAndLabels:
    """Read a MATLAB file of house numbers.

    Args:
        path: A file of version 5, with the images X (32, 32, 3, N) and their labels y (N, 1) from 1
            to 10, where 10 means the digit 0.
        most: Maximum number of images.

    Returns:
        Images (N, 3, 32, 32), with the file's order in memory, and labels (N,) from 0 to 9.

    Raises:
        CorruptDataError: It has unexpected content.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        try:
            return _images_and_labels(stream, most)
        except Exception as error:  # scipy raises a dozen kinds
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise corrupt(path, f"it does not hold images as SVHN has them ({error})") from error


def _images_and_labels(stream: IO[bytes], most: int) -> ImagesAndLabels:
    from scipy.io import loadmat, whosmat  # takes a second, and other data sets do not need it

    # Names, shapes and classes first: loading would decompress arrays and build objects of any kind
    # and size, as torchvision's reader does.
    found = whosmat(stream)
    shapes = {}
    for name, admitted in _CLASSES.items():
        described = [(shape, kind) for other, shape, kind in found if other == name]
        if len(described) != 1:
            raise ValueError(f"it has {len(described)} variables {name} instead of one")
        shapes[name], kind = described[0]
        if kind not in admitted:
            raise ValueError(f"its variable {name} is of MATLAB's class {kind}")
    count = shapes["X"][-1]
    if shapes != {"X": (*SVHN.image_shape[1:], SVHN.image_shape[0], count), "y": (count, 1)}:
        raise ValueError(f"X and y have the shapes {shapes['X']}, {shapes['y']}")
    if not 0 < count <= most:
        raise ValueError(f"it holds {count} images, but {most} were published")
    stream.seek(0)
    content = loadmat(stream, variable_names=list(_CLASSES))
    images, labels = content["X"], content["y"].ravel()
    wrong = np.flatnonzero(~np.isin(labels, np.arange(1, _TEN + 1)))
    if len(wrong):
        raise ValueError(f"label {wrong[0]} is {labels[wrong[0]]}, but should be from 1 to {_TEN}")
    return images.transpose(3, 2, 0, 1), labels.astype(np.int64) % _TEN
