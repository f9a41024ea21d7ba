"""What users import: test problems, data sets and runners of all installed packages.

A module is imported when it is used, and none but `tf_weights` imports torch before a problem, a
data set or a runner is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs.pytorch import config, datasets, runners, testproblems, tf_weights

__all__ = ["config", "datasets", "runners", "testproblems", "tf_weights"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
