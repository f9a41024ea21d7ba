"""DeepOBS for PyTorch: a benchmark suite for deep-learning optimizers.

One run in Python:

    import deepobs

    result = deepobs.run("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=10, output_dir="results")
    deepobs.table("results")

`deepobs.runs` is imported, and torch with it, when `run` or `specify` is used. `load`, `table`,
`score`, `compare`, `plot` and `report` come with deepobs-analysis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs.plugins import register
    from deepobs.runs import specify
    from deepobs.runs.direct import run

__all__ = ["__version__", "register", "run", "specify"]

__version__ = "1.2.0"


_HOMES = {
    "compare": "deepobs_analysis",
    "load": "deepobs_analysis",
    "plot": "deepobs_analysis",
    "register": "deepobs.plugins",
    # Of deepobs_analysis itself, `report` is the module of its page.
    "report": "deepobs_analysis.python_use",
    "run": "deepobs.runs.direct",
    "score": "deepobs_analysis",
    "specify": "deepobs.runs",
    "table": "deepobs_analysis",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in (_HOMES[name], _HOMES[name].partition(".")[0]):
            raise
        message = f"deepobs.{name} comes with deepobs-analysis: pip install deepobs-analysis"
        raise AttributeError(message) from None


def __dir__() -> list[str]:
    # Not of `import *`, which would fail without deepobs-analysis.
    return sorted({*__all__, *_HOMES})
