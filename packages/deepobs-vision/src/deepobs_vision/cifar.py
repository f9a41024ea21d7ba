"""CIFAR-10 and CIFAR-100, which share their formats of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from deepobs.data.archive import Archive, fetch_unpacked, unpack
from deepobs.data.download import RemoteFile
from deepobs.data.layout import Layout
from deepobs_vision.image_files import ImageFiles
from deepobs_vision.images import AugmentedImages
from deepobs_vision.pickled_batches import read_pickled_batch
from deepobs_vision.records import RecordFormat, read_records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs.data.tensor_dataset import Splits
    from deepobs_vision.image_files import ImagesAndLabels


def _layouts(
    *names: str, pickled: str, binary: tuple[str, ...], archive: str
) -> tuple[Layout, ...]:
    """The published pickles, records as the original DeepOBS has them, and the packed pickles."""
    return (
        Layout(file_names=names, directories=(pickled,)),
        Layout(file_names=tuple(f"{name}.bin" for name in names), directories=binary),
        Layout(file_names=(archive,), directories=("",)),
    )


class CIFAR10(AugmentedImages, ImageFiles):
    """Photographs of 32x32 pixels in ten classes, standardised one by one.

    The files are looked for where torchvision has them (`cifar-10-batches-py`; a download puts them
    there, too), then where the original DeepOBS had records (`cifar-10`, or `cifar-10-batches-bin`
    as they are published). Of torchvision, the archive alone will do.
    """

    image_shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    num_classes: ClassVar[int] = 10
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
        """Read pickles or records; an archive is unpacked beside itself first."""
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
        """Read a pickle, if it is the published one, or a file of records."""
        if name.endswith(".bin"):
            return read_records(path, cls.record, most)
        return read_pickled_batch(
            path, cls.checksums()[name], label_key=cls.label_key, num_classes=cls.num_classes
        )

    @classmethod
    def checksums(cls) -> dict[str, str]:
        """Those that torchvision knows: of the pickles and their archive."""
        source = cls._source()
        listed = (*source.train_list, *source.test_list, (source.filename, source.tgz_md5))
        return {name: f"md5:{md5}" for name, md5 in listed}

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        """The archive, from where torchvision has it."""
        source = cls._source()
        checksum = cls.checksums()[source.filename]
        return [RemoteFile(name=source.filename, urls=(source.url,), checksum=checksum)]

    @classmethod
    def download(cls, directory: Path) -> None:
        """Get the files that a directory lacks, out of the archive.

        Raises:
            DownloadError: It could not be had.
            CorruptDataError: It holds something else than it should.
            DataError: The directory cannot be written to.
        """
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
        import torchvision  # takes seconds, and records are read without

        return getattr(torchvision.datasets, cls.torchvision_name)


class CIFAR100(CIFAR10):
    """Photographs of 32x32 pixels in a hundred classes, standardised one by one.

    The files are looked for where torchvision has them (`cifar-100-python`; a download puts them
    there, too), then where the original DeepOBS had records (`cifar-100`, or `cifar-100-binary` as
    they are published). Of torchvision, the archive alone will do. The label is the fine one.

    The original reads every image one byte early, so that the label is its first pixel. Here images
    are read as they were published.
    """

    num_classes: ClassVar[int] = 100
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
