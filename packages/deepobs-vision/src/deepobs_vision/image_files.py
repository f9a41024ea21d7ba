"""Data sets of images whose files each hold images together with their labels."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from deepobs.data.file_dataset import FileDataSet
from deepobs.data.tensor_dataset import Examples, Splits
from deepobs.errors import CorruptDataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ImagesAndLabels: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (N, C, H, W), in any order in memory, and labels (N,)."""


class ImageFiles(FileDataSet):
    """A data set that is divided among files: those whose names begin with "test" are for testing.

    How many images a file holds is up to the file; all together, at most as many as were published.
    """

    @classmethod
    @abstractmethod
    def read_file(cls, name: str, path: Path, most: int) -> ImagesAndLabels:
        """Read one of the files.

        Args:
            name: What its layout calls it.
            path: Where it is.
            most: How many images it can hold at most.

        Raises:
            CorruptDataError: It does not hold what it should, or more.
        """

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> Splits:
        """Read all of the files, however many images they hold up to the published number."""
        test = {name: path for name, path in paths.items() if name.startswith("test")}
        train = {name: path for name, path in paths.items() if name not in test}
        return Splits(
            train=cls._joined(train, cls.spec.train_size),
            test=cls._joined(test, cls.spec.test_size),
        )

    @classmethod
    def _joined(cls, paths: Mapping[str, Path], most: int) -> Examples:
        parts = {name: cls.read_file(name, path, most) for name, path in paths.items()}
        counts = {name: len(labels) for name, (_, labels) in parts.items()}
        total = sum(counts.values())
        if total > most:
            held = ", ".join(f"{name} holds {count}" for name, count in counts.items())
            raise CorruptDataError(
                f"The files in {next(iter(paths.values())).parent} are corrupt: they hold {total} "
                f"images, but {most} were published; they may have been written twice ({held})."
            )
        parts_of_images, parts_of_labels = zip(*parts.values(), strict=True)
        images = np.empty((total, *parts_of_images[0].shape[1:]), dtype=np.uint8)
        # Into an array of its own: else the result would lie in memory as the parts do.
        np.concatenate(parts_of_images, out=images)
        return torch.from_numpy(images), torch.from_numpy(np.concatenate(parts_of_labels))
