"""CIFAR-10 and CIFAR-100, published as pickles."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from deepobs.data import Layout, RemoteFile
from deepobs.data.archive import Archive, fetch_unpacked, unpack
from deepobs.data.download import mismatch
from deepobs.data.file_dataset import corrupt
from deepobs_vision.augmentation import CroppedImages
from deepobs_vision.image_files import ImageFiles, RecordFormat, read_records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs.data import Splits
    from deepobs_vision.image_files import ImagesAndLabels

_IMAGE_SHAPE = (3, 32, 32)
# Somewhat more than the training set of CIFAR-100, the largest of these files.
_MOST_BYTES = 2**28

# All globals that the published pickles refer to.
_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


def _layouts(
    *names: str, pickled: str, binary: tuple[str, ...], archive: str
) -> tuple[Layout, ...]:
    """The published pickles, records as in the original DeepOBS, and the archive of pickles."""
    return (
        Layout(file_names=names, directories=(pickled,)),
        Layout(file_names=tuple(f"{name}.bin" for name in names), directories=binary),
        Layout(file_names=(archive,), directories=("",)),
    )


class CIFAR10(CroppedImages, ImageFiles):
    """Photographs of 32x32 pixels in ten classes, by default standardized one by one.

    The files are looked for in the directory of torchvision (`cifar-10-batches-py`, also the target
    of a download), then, as records, in that of the original DeepOBS (`cifar-10`) or as published
    (`cifar-10-batches-bin`). Of torchvision's files, the archive suffices.
    """

    image_shape: ClassVar[tuple[int, int, int]] = _IMAGE_SHAPE
    num_classes: ClassVar[int] = 10
    channel_means: ClassVar[tuple[float, float, float]] = (0.4914, 0.4822, 0.4465)
    channel_deviations: ClassVar[tuple[float, float, float]] = (0.2470, 0.2435, 0.2616)
    train_eval_size: ClassVar[int] = 10000
    layouts: ClassVar[tuple[Layout, ...]] = _layouts(
        *(f"data_batch_{number}" for number in range(1, 6)),
        "test_batch",
        pickled="cifar-10-batches-py",
        binary=("cifar-10", "cifar-10-batches-bin"),
        archive="cifar-10-python.tar.gz",
    )
    torchvision_name: ClassVar[str] = "CIFAR10"
    label_key: ClassVar[bytes] = b"labels"
    record: ClassVar[RecordFormat] = RecordFormat(label_counts=(10,))

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> Splits:
        """Read pickles or records; an archive is first unpacked in its directory."""
        pickles, _, packed = cls.layouts
        (archive_name,) = packed.file_names
        if archive_name in paths:
            path = paths[archive_name]
            directory = path.parent / pickles.directories[0]
            unpack(cls._archive(), path, directory)
            paths = {name: directory / name for name in pickles.file_names}
        return super().read(paths)

    @classmethod
    def read_file(cls, name: str, path: Path, most: int) -> ImagesAndLabels:
        """Read a published pickle or a file of records."""
        if name.endswith(".bin"):
            return read_records(path, cls.record, most)
        return read_pickled_batch(
            path, cls.checksums()[name], label_key=cls.label_key, num_classes=cls.num_classes
        )

    @classmethod
    def checksums(cls) -> dict[str, str]:
        """Those known to torchvision: of the pickles and their archive."""
        source = cls._source()
        listed = (*source.train_list, *source.test_list, (source.filename, source.tgz_md5))
        return {name: f"md5:{md5}" for name, md5 in listed}

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        """The archive, from torchvision's source."""
        source = cls._source()
        checksum = cls.checksums()[source.filename]
        return [RemoteFile(name=source.filename, urls=(source.url,), checksum=checksum)]

    @classmethod
    def download(cls, directory: Path) -> None:
        """Download the archive and extract the files that a directory lacks."""
        fetch_unpacked(cls._archive(), directory)

    @classmethod
    def _archive(cls) -> Archive:
        pickles = cls.layouts[0]
        checksums = cls.checksums()
        members = {
            f"{pickles.directories[0]}/{name}": checksums[name] for name in pickles.file_names
        }
        return Archive(file=cls.remote_files()[0], members=members)

    @classmethod
    def _source(cls) -> Any:
        import torchvision  # takes seconds, and records are read without it

        return getattr(torchvision.datasets, cls.torchvision_name)


class CIFAR100(CIFAR10):
    """Photographs of 32x32 pixels in a hundred classes, by default standardized one by one.

    The files are looked for in the directory of torchvision (`cifar-100-python`, also the target of
    a download), then, as records, in that of the original DeepOBS (`cifar-100`) or as published
    (`cifar-100-binary`). Of torchvision's files, the archive suffices. Labels are the fine ones.

    The original reads every image one byte early, so that the label is its first pixel. Here,
    images are read as they were published.
    """

    num_classes: ClassVar[int] = 100
    channel_means: ClassVar[tuple[float, float, float]] = (0.5071, 0.4865, 0.4409)
    channel_deviations: ClassVar[tuple[float, float, float]] = (0.2673, 0.2564, 0.2762)
    layouts: ClassVar[tuple[Layout, ...]] = _layouts(
        "train",
        "test",
        pickled="cifar-100-python",
        binary=("cifar-100", "cifar-100-binary"),
        archive="cifar-100-python.tar.gz",
    )
    torchvision_name: ClassVar[str] = "CIFAR100"
    label_key: ClassVar[bytes] = b"fine_labels"
    record: ClassVar[RecordFormat] = RecordFormat(label_counts=(20, 100))


def read_pickled_batch(
    path: Path, checksum: str, *, label_key: bytes, num_classes: int
) -> ImagesAndLabels:
    """Read a CIFAR file in the format for Python.

    Args:
        path: The file.
        checksum: That of the published one, `algorithm:hexadecimal digest`.
        label_key: Key of its labels.
        num_classes: Labels run from 0 to one less.

    Returns:
        Images (N, 3, 32, 32) and labels (N,).

    Raises:
        CorruptDataError: It is not the published file, or has unexpected content.
        OSError: It cannot be read.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise corrupt(path, f"it is larger than {_MOST_BYTES} bytes")
    # Read once: the bytes that are verified must be those that are loaded.
    content = path.read_bytes()
    wrong = mismatch(io.BytesIO(content), checksum)
    if wrong:
        raise corrupt(path, f"{wrong}; as a pickle can run any code, it was not loaded")
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        return _images_and_labels(batch, label_key, num_classes)
    except Exception as error:  # a damaged pickle can raise anything
        raise corrupt(path, f"it does not hold a batch of images ({error})") from error


class _ArraysOnly(pickle.Unpickler):
    """Loads dictionaries, lists, strings and arrays of numbers."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        # MD5 is no proof against an attacker, so that a verified pickle is not trusted, either.
        # torchvision's reader would call whatever it names.
        if (module_name, global_name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it refers to {module_name}.{global_name}")
        return super().find_class(module_name, global_name)


def _images_and_labels(batch: Any, label_key: bytes, num_classes: int) -> ImagesAndLabels:
    if type(batch) is not dict or not {b"data", label_key} <= batch.keys():
        raise TypeError(f"it is no dictionary with data and {label_key.decode()}")
    pixels = batch[b"data"]
    labels = np.array(batch[label_key])
    if type(pixels) is not np.ndarray or pixels.dtype != np.uint8:
        raise TypeError("the data are no array of bytes")
    if labels.ndim != 1 or labels.dtype.kind != "i":
        raise TypeError("the labels are no list of integers")
    if pixels.shape != (len(labels), np.prod(_IMAGE_SHAPE)):
        raise ValueError(f"data of shape {pixels.shape} come with {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"there are labels from {labels.min()} to {labels.max()}")
    return pixels.reshape(-1, *_IMAGE_SHAPE), labels.astype(np.int64)
