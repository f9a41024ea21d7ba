"""These tests import none of our packages: they install them elsewhere."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def isolated_settings() -> None:
    """There are no settings of ours in this process."""
