"""Fixtures for the tests of deepobs-vision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs.problems import Problem


@pytest.fixture
def on_meta() -> Callable[[str], Problem]:
    """Gives a problem, by its name, with a model of tensors without memory; there are no data."""
    import torch

    from deepobs.plugins import registry

    def build(name: str) -> Problem:
        problem = registry().problems.load(name)(1, device="cpu")
        # Shapes and classes are known to the class.
        problem.dataset = registry().datasets.load(problem.spec.dataset)
        with torch.device("meta"):
            problem.model = problem.build_model()
        return problem

    return build
