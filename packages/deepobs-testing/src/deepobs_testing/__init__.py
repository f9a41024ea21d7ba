"""Checks that a test problem, a data set or an optimizer behaves as others rely on.

    from deepobs_testing import check_testproblem

    check_testproblem("mnist_mlp")

The same checks are made by `deepobs check`, and offered to pytest: a test that is marked with
`deepobs_checks` and takes the fixture `deepobs_check` becomes one test for each check.
"""

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
