"""Fixtures for the tests of deepobs-text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from deepobs.problems import Problem

SetUp = Callable[..., "Problem"]


@pytest.fixture
def set_up() -> SetUp:
    """Sets up a problem by its name, on the CPU and with synthetic text."""
    from deepobs import config
    from deepobs.plugins import registry

    config.set_fake_data(0.01)

    def build(name: str, batch_size: int = 4, **arguments: Any) -> Problem:
        problem = registry().problems.load(name)(batch_size, device="cpu", **arguments)
        problem.set_up()
        return problem

    return build
