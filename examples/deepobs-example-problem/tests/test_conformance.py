"""One test for each conformance check of each data set and problem of the package."""

import pytest


@pytest.mark.deepobs_checks(distribution="deepobs-example-problem")
def test_conformance(deepobs_check):
    deepobs_check()
