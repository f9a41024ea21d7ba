"""The package behaves as DeepOBS expects: a test for everything it offers and every check."""

import pytest


@pytest.mark.deepobs_checks(distribution="deepobs-example-problem")
def test_conformance(deepobs_check):
    deepobs_check()
