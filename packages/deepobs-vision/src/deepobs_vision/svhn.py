"""SVHN, digits of house numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from deepobs.data.download import RemoteFile
from deepobs.data.layout import Layout
from deepobs_vision.image_files import ImageFiles
from deepobs_vision.images import AugmentedImages
from deepobs_vision.matlab import read_mat
from deepobs_vision.records import RecordFormat, read_records

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs_vision.image_files import ImagesAndLabels

_RECORD = RecordFormat(label_counts=(10,), channels_last=True)


class SVHN(AugmentedImages, ImageFiles):
    """Photographs of house numbers, 32x32 pixels in ten classes, standardised one by one.

    The published files are looked for in `svhn` (a download puts them there, too), in `SVHN` and in
    the data directory itself, where torchvision puts them; then the records of the original DeepOBS
    in `svhn`. Those hold 64000 training images: the original leaves out the last 9257.
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
        """Those that torchvision knows: of the published files."""
        return {file.name: file.checksum for file in cls.remote_files()}

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        """The files, from where torchvision has them."""
        import torchvision  # takes seconds, and most of the time nothing is downloaded

        source: Any = torchvision.datasets.SVHN
        return [
            RemoteFile(name=name, urls=(url,), checksum=f"md5:{md5}")
            for url, name, md5 in (source.split_list[split] for split in ("train", "test"))
        ]
