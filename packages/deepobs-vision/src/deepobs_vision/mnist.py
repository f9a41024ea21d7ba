"""MNIST and Fashion-MNIST, in IDX files, plain or compressed by gzip.

An IDX file consists of a header (two zero bytes, element type, number of dimensions, and each
dimension as a big-endian 32-bit integer) and the elements in C order.

References:
    The end of http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from deepobs.data import FileDataSet, Layout, RemoteFile, Splits
from deepobs.data.file_dataset import corrupt, unpacked
from deepobs.errors import CorruptDataError
from deepobs_vision.noise import NoisyImages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from deepobs.data import Examples

_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

_UNSIGNED_BYTE = 0x08
# Twenty times the images of MNIST.
_MOST_BYTES = 2**30


def _layouts(*directories: str) -> tuple[Layout, ...]:
    # torchvision leaves the plain files beside the compressed ones, and they are faster to read.
    return (Layout(file_names=_TRAIN + _TEST, directories=directories, suffixes=("", ".gz")),)


class MNIST(NoisyImages, FileDataSet):
    """Gray images of 28x28 pixels in ten classes, bytes divided by 255.

    The files are looked for in the directories of torchvision (`MNIST/raw`, also the target of a
    download) and of the original DeepOBS (`mnist`).
    """

    image_shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    num_classes: ClassVar[int] = 10
    train_eval_size: ClassVar[int] = 10000
    layouts: ClassVar[tuple[Layout, ...]] = _layouts("MNIST/raw", "mnist")
    torchvision_name: ClassVar[str] = "MNIST"

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> Splits:
        """Read four IDX files with any number of images."""
        train, test = ([paths[name] for name in names] for names in (_TRAIN, _TEST))
        return Splits(train=cls._examples(*train), test=cls._examples(*test))

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        """The files, mirrors and checksums known to torchvision."""
        import torchvision  # takes seconds, and usually nothing is downloaded

        source = getattr(torchvision.datasets, cls.torchvision_name)
        return [
            RemoteFile(
                name=name,
                urls=tuple(f"{mirror}{name}" for mirror in source.mirrors),
                checksum=f"md5:{md5}",
            )
            for name, md5 in source.resources
        ]

    @classmethod
    def _examples(cls, images_path: Path, labels_path: Path) -> Examples:
        images = torch.from_numpy(read_idx(images_path, cls.image_shape[1:])).unsqueeze(1)
        labels = torch.from_numpy(read_idx(labels_path, ())).to(torch.int64)
        if len(images) != len(labels):
            raise CorruptDataError(
                f"The file {images_path} holds {len(images)} images, "
                f"but {labels_path} holds {len(labels)} labels."
            )
        if labels.max() >= cls.num_classes:
            raise corrupt(
                labels_path,
                f"it holds the label {int(labels.max())}, "
                f"but labels run from 0 to {cls.num_classes - 1}",
            )
        return images, labels


class FashionMNIST(MNIST):
    """Gray images of clothes, 28x28 pixels in ten classes, bytes divided by 255.

    The files are looked for in the directories of torchvision (`FashionMNIST/raw`, also the target
    of a download), of the original DeepOBS (`fmnist`), and of the Debian package
    dataset-fashion-mnist (`fashion-mnist`, below /usr/share/datasets).
    """

    layouts: ClassVar[tuple[Layout, ...]] = _layouts("FashionMNIST/raw", "fmnist", "fashion-mnist")
    torchvision_name: ClassVar[str] = "FashionMNIST"


def read_idx(path: Path, item_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Args:
        path: The file.
        item_shape: The dimensions after the first one: `(28, 28)` for images, `()` for labels.

    Returns:
        Shape `(items, *item_shape)`.

    Raises:
        CorruptDataError: It has unexpected content.
        OSError: It cannot be read.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise corrupt(path, f"it is larger than {_MOST_BYTES} bytes")
    # Never more is read than the checked header announces: a decompression bomb costs no memory.
    # torchvision's reader takes no compressed files, and reads all of one before it looks at it.
    with unpacked(path) as stream:
        items = _item_count(path, stream.read(4 + 4 * (1 + len(item_shape))), item_shape)
        size = items * math.prod(item_shape)
        if size > _MOST_BYTES:
            raise corrupt(path, f"it claims to hold {size} bytes, more than {_MOST_BYTES}")
        elements = stream.read(size + 1)
    if len(elements) < size:
        raise corrupt(path, f"it is truncated: {len(elements)} bytes of {size} follow its header")
    if len(elements) > size:
        raise corrupt(path, f"it continues after the {size} bytes that its header announces")
    # A copy, since the memory of a bytes object is read-only and torch requires it to be writable.
    return np.frombuffer(elements, dtype=np.uint8).reshape(items, *item_shape).copy()


def _item_count(path: Path, header: bytes, item_shape: tuple[int, ...]) -> int:
    dimensions = 1 + len(item_shape)
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if header[:4] != magic:
        expected = f"{magic.hex(' ')} (unsigned bytes in {dimensions} dimensions)"
        raise corrupt(path, f"it begins with {header[:4].hex(' ')} instead of {expected}")
    if len(header) < 4 + 4 * dimensions:
        raise corrupt(path, f"it is truncated: its header has {len(header)} bytes")
    items, *shape = struct.unpack(f">{dimensions}I", header[4:])
    if tuple(shape) != item_shape:
        raise corrupt(path, f"its items have the shape {tuple(shape)} instead of {item_shape}")
    if items == 0:
        raise corrupt(path, "it holds no items")
    return int(items)
