"""Data sets, in memory or loaded while they are used, and the files they come from."""

from deepobs.data.base import BaseDataSet
from deepobs.data.dataset import Examples, Splits, TensorDataSet
from deepobs.data.download import RemoteFile, fetch
from deepobs.data.embedded import EmbeddedDataSet
from deepobs.data.file_dataset import FileDataSet
from deepobs.data.files import DataStatus, Layout
from deepobs.data.generated import GeneratedDataSet
from deepobs.data.loader import TensorLoader

__all__ = [
    "BaseDataSet",
    "DataStatus",
    "EmbeddedDataSet",
    "Examples",
    "FileDataSet",
    "GeneratedDataSet",
    "Layout",
    "RemoteFile",
    "Splits",
    "TensorDataSet",
    "TensorLoader",
    "fetch",
]
