"""What users import: test problems, data sets and runners of all installed packages.

Torch is imported when a problem, a data set, a runner or `tf_weights` is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepobs.pytorch import config, datasets, runners, testproblems

if TYPE_CHECKING:
    from deepobs.pytorch import tf_weights

__all__ = ["config", "datasets", "runners", "testproblems", "tf_weights"]


def __getattr__(name: str) -> Any:
    if name == "tf_weights":
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
