"""DeepOBS for PyTorch: a benchmark suite for deep-learning optimizers.

One run in Python:

    import deepobs

    specification = deepobs.specify("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=10)
    record = deepobs.run(specification)

`deepobs.runs` is imported, and torch with it, when one of these names is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs.plugins import register
    from deepobs.runs import run, specify

__all__ = ["__version__", "register", "run", "specify"]

__version__ = "1.2.0"


def __getattr__(name: str) -> Any:
    if name in ("run", "specify"):
        return getattr(import_module("deepobs.runs"), name)
    if name == "register":
        return import_module("deepobs.plugins").register
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
