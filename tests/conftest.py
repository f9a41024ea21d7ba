"""Fixtures for all tests; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of reference data that lies beside a checkout."""
    if not (_SHARED / "reference").is_dir():
        pytest.skip("the reference data are not beside this checkout (../shared/reference)")
    return _SHARED


@pytest.fixture(autouse=True)
def isolated_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has an empty data directory of its own and no settings from outside."""
    for variable in ("DEEPOBS_FAKE_DATA", "DEEPOBS_PLUGINS", "DEEPOBS_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DEEPOBS_DATA_DIR", str(tmp_path / "data"))
    from deepobs import config

    monkeypatch.setattr(config, "_settings", config._Settings())
