"""Analysis of results of DeepOBS: reading, statistics, figures, tables and a report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs_analysis.pairwise import compare
    from deepobs_analysis.python_use import plot, score, table
    from deepobs_analysis.reading import load
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import select

__version__ = "1.2.0"

# Imported on use: every start of `deepobs` imports this package to find its plugin, and pandas
# alone takes a second.
_HOMES = {
    "Results": "deepobs_analysis.results",
    "compare": "deepobs_analysis.pairwise",
    "load": "deepobs_analysis.reading",
    "plot": "deepobs_analysis.python_use",
    "score": "deepobs_analysis.python_use",
    "select": "deepobs_analysis.selection",
    "table": "deepobs_analysis.python_use",
}

__all__ = ["Results", "__version__", "compare", "load", "plot", "score", "select", "table"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
