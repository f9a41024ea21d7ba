"""Data sets, in memory or streamed, and the files they are read from."""

from deepobs.data.base import BaseDataSet, DataStatus
from deepobs.data.download import RemoteFile, fetch
from deepobs.data.file_dataset import FileDataSet, Layout
from deepobs.data.loader import TensorLoader
from deepobs.data.tensor_dataset import (
    EmbeddedDataSet,
    Examples,
    GeneratedDataSet,
    Splits,
    TensorDataSet,
)

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
