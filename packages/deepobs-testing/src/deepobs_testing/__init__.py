"""Conformance checks for test problems, data sets and optimizers, and a plugin skeleton.

    from deepobs_testing import check_testproblem

    check_testproblem("mnist_mlp")

`deepobs check` executes the same checks. In pytest, a test that is marked with `deepobs_checks` and
takes the fixture `deepobs_check` becomes one test for each check.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs_testing._examination import check_dataset, check_optimizer, check_testproblem
    from deepobs_testing._report import CheckResult, ConformanceError, Report

__all__ = [
    "CheckResult",
    "ConformanceError",
    "Report",
    "check_dataset",
    "check_optimizer",
    "check_testproblem",
]

__version__ = "1.2.0"


# Names are imported when they are used: the command line and every pytest session with this
# package installed import it, and should not wait for what they do not use.
def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "_examination" if name.startswith("check_") else "_report"
    return getattr(import_module(f"deepobs_testing.{home}"), name)


def __dir__() -> list[str]:
    return __all__
