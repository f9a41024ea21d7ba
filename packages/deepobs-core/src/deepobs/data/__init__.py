"""Data sets that live in memory, and the files they come from."""

from deepobs.data.dataset import Examples, Splits, TensorDataSet
from deepobs.data.download import RemoteFile, fetch
from deepobs.data.file_dataset import FileDataSet
from deepobs.data.files import DataStatus, Layout
from deepobs.data.loader import TensorLoader

__all__ = [
    "DataStatus",
    "Examples",
    "FileDataSet",
    "Layout",
    "RemoteFile",
    "Splits",
    "TensorDataSet",
    "TensorLoader",
    "fetch",
]
