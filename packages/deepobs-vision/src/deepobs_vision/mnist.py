"""MNIST and Fashion-MNIST, which share one file format."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from deepobs.data.download import RemoteFile
from deepobs.data.file_dataset import FileDataSet
from deepobs.data.layout import Layout
from deepobs.data.tensor_dataset import Examples, Splits
from deepobs.errors import CorruptDataError
from deepobs_vision.idx import read_idx
from deepobs_vision.images import ImageDataSet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _layouts(*directories: str) -> tuple[Layout, ...]:
    # torchvision leaves the plain files beside the compressed ones, and they are faster to read.
    return (Layout(file_names=_TRAIN + _TEST, directories=directories, suffixes=("", ".gz")),)


class MNIST(ImageDataSet, FileDataSet):
    """Grey images of 28x28 pixels in ten classes, bytes divided by 255.

    The files are looked for where torchvision has them (`MNIST/raw`; a download puts them there,
    too) and where the original DeepOBS had them (`mnist`).
    """

    image_shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    num_classes: ClassVar[int] = 10
    train_eval_size: ClassVar[int] = 10000
    layouts: ClassVar[tuple[Layout, ...]] = _layouts("MNIST/raw", "mnist")
    torchvision_name: ClassVar[str] = "MNIST"

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> Splits:
        """Read four IDX files, however many images they hold."""
        train, test = ([paths[name] for name in names] for names in (_TRAIN, _TEST))
        return Splits(train=cls._examples(*train), test=cls._examples(*test))

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        """The files, mirrors and checksums that torchvision knows."""
        import torchvision  # takes seconds, and most of the time nothing is downloaded

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
            raise CorruptDataError(
                f"The file {labels_path} is corrupt: it holds the label {int(labels.max())}, "
                f"but labels run from 0 to {cls.num_classes - 1}."
            )
        return images, labels


class FashionMNIST(MNIST):
    """Grey images of clothes, 28x28 pixels in ten classes, bytes divided by 255.

    The files are looked for where torchvision has them (`FashionMNIST/raw`; a download puts them
    there, too), where the original DeepOBS had them (`fmnist`), and where the Debian package
    dataset-fashion-mnist has them (`fashion-mnist`, below /usr/share/datasets).
    """

    layouts: ClassVar[tuple[Layout, ...]] = _layouts("FashionMNIST/raw", "fmnist", "fashion-mnist")
    torchvision_name: ClassVar[str] = "FashionMNIST"
