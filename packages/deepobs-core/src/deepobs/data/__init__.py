"""Data sets, in memory or streamed, and the files they are read from."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs.data.base import BaseDataSet, DataStatus
    from deepobs.data.download import RemoteFile, fetch
    from deepobs.data.file_dataset import FileDataSet, Layout
    from deepobs.data.generated import GeneratedDataSet
    from deepobs.data.tensor_dataset import (
        EmbeddedDataSet,
        Examples,
        Splits,
        TensorDataSet,
        TensorLoader,
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

_MODULES = {
    "base": ("BaseDataSet", "DataStatus"),
    "download": ("RemoteFile", "fetch"),
    "file_dataset": ("FileDataSet", "Layout"),
    "generated": ("GeneratedDataSet",),
    "tensor_dataset": ("EmbeddedDataSet", "Examples", "Splits", "TensorDataSet", "TensorLoader"),
}


def __getattr__(name: str) -> Any:
    # Data that come with a package need neither downloads nor files.
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
