"""Data sets that are always there, because a package holds them or they are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deepobs.data.dataset import TensorDataSet
from deepobs.data.files import DataStatus

if TYPE_CHECKING:
    from pathlib import Path


class EmbeddedDataSet(TensorDataSet):
    """A data set with nothing to download.

    Attributes:
        origin: Where the examples come from, as `deepobs data status` says it.
    """

    origin: ClassVar[str]

    @classmethod
    def status(cls, data_dir: Path) -> DataStatus:
        """It is always there."""
        del data_dir
        return DataStatus("embedded", f"{cls.origin}, nothing to download")

    @classmethod
    def prepare(cls, data_dir: Path) -> DataStatus:
        """Check the examples; there is nothing to download.

        Raises:
            DataError: They are not what they should be.
        """
        return cls.verify(data_dir)

    @classmethod
    def verify(cls, data_dir: Path) -> DataStatus:
        """Nothing could be broken, unless a subclass knows what could."""
        return cls.status(data_dir)
