"""The handwritten digits of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from deepobs.data.tensor_dataset import EmbeddedDataSet, Splits
from deepobs.errors import CorruptDataError
from deepobs_vision.images import ImageDataSet

if TYPE_CHECKING:
    from pathlib import Path

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
        from sklearn.datasets import load_digits  # takes seconds

        bunch = load_digits()
        images = torch.from_numpy(bunch.images.astype(np.uint8)).unsqueeze(1)
        labels = torch.from_numpy(bunch.target.astype(np.int64))
        is_test = np.zeros(len(labels), dtype=bool)
        is_test[np.argsort(bunch.target, kind="stable")[::_TEST_EVERY]] = True
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
