"""The handwritten digits of scikit-learn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from deepobs.data.tensor_dataset import EmbeddedDataSet, Splits
from deepobs.errors import CorruptDataError
from deepobs_vision.images import ImageDataSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepobs.data import DataStatus

_TEST_EVERY = 5
_FINGERPRINT = "99550e78354237ca8f46035afb7e344804d0f902f7a81504e3d220b648f01378"


class Digits(ImageDataSet, EmbeddedDataSet):
    """Gray images of 8x8 pixels in ten classes, values 0..16 divided by 16: 1437 and 360 of them.

    The split is ours and fixed: of the 1797 images sorted by digit, otherwise in the order of
    scikit-learn, every fifth one is for testing, beginning with the first. So a fifth of each digit
    is in the test set. Both splits keep the order of scikit-learn.
    """

    image_shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    num_classes: ClassVar[int] = 10
    largest_value: ClassVar[int] = 16
    train_eval_size: ClassVar[int] = 1437
    origin: ClassVar[str] = "comes with scikit-learn"

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        """Read the images from scikit-learn."""
        del data_dir
        pixels, target = _pixels_and_labels()
        images = torch.from_numpy(pixels.reshape(-1, *cls.image_shape).astype(np.uint8))
        labels = torch.from_numpy(target.astype(np.int64))
        is_test = np.zeros(len(labels), dtype=bool)
        is_test[np.argsort(labels.numpy(), kind="stable")[::_TEST_EVERY]] = True
        rows = (torch.from_numpy(np.flatnonzero(chosen)) for chosen in (~is_test, is_test))
        train, test = ((images.index_select(0, row), labels.index_select(0, row)) for row in rows)
        return Splits(train=train, test=test)

    @classmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Compare the images with those of the published results.

        Raises:
            CorruptDataError: scikit-learn has other images.
        """
        found = cls.load(data_dir).fingerprint
        if found != _FINGERPRINT:
            raise CorruptDataError(
                f"The images of scikit-learn have the fingerprint {found} instead of "
                f"{_FINGERPRINT}: results on them are not comparable to others. "
                "Install another version of scikit-learn."
            )
        return cls.status(data_dir)


def _pixels_and_labels() -> tuple[NDArray[np.float64], NDArray[Any]]:
    """The pixels (images, 64), and the digit of each image."""
    # The file that `load_digits` reads: to import scikit-learn takes longer than many a run.
    found = find_spec("sklearn")
    for place in (found and found.submodule_search_locations) or ():
        path = Path(place, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            rows = np.loadtxt(path, delimiter=",")
            return rows[:, :-1], rows[:, -1]
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.data, bunch.target
