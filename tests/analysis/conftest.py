"""Fixtures for tests of the analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a cache of its own; it is not there yet."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("DEEPOBS_CACHE_DIR", str(directory))
    monkeypatch.delenv("DEEPOBS_BASELINE_DIR", raising=False)
    return directory
