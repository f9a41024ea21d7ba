"""Checks that a test problem, a data set or an optimizer conforms to the protocols.

    from deepobs_testing import check_testproblem

    check_testproblem("mnist_mlp")

`deepobs check` executes the same checks, and pytest a test for each of them where the marker
`deepobs_checks` and the fixture `deepobs_check` are used.

Everything is imported when it is used: the command line imports this package each time it starts.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs_testing.api import check_dataset, check_optimizer, check_testproblem
    from deepobs_testing.results import CheckResult, ConformanceError, Report

__all__ = [
    "CheckResult",
    "ConformanceError",
    "Report",
    "check_dataset",
    "check_optimizer",
    "check_testproblem",
]

__version__ = "1.2.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "api" if name.startswith("check_") else "results"
    return getattr(import_module(f"deepobs_testing.{home}"), name)


def __dir__() -> list[str]:
    return __all__
