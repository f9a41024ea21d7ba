"""The package that `deepobs new-plugin` generates works unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from installed_packages import ROOT, called, installed_beside, plain_environment

if TYPE_CHECKING:
    from pathlib import Path

# The shortest and the longest names there can be: lines must not depend on them.
NAMES = ("x", "deepobs-" + "wavelet-" * 2 + "problems")
WITHOUT_TORCH = """
[mypy]
strict = True
files = src
# Reading torch takes half a minute.
[mypy-torch.*]
follow_imports = skip
"""


@pytest.fixture(scope="module")
def skeletons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the packages of these names, as the installed command writes them."""
    directory = tmp_path_factory.mktemp("skeletons")
    for name in NAMES:
        called("deepobs", "new-plugin", name, cwd=directory, env=plain_environment())
    return directory


@pytest.mark.parametrize("name", NAMES)
def test_it_is_written_as_ruff_wants_it(skeletons: Path, name: str) -> None:
    pytest.importorskip("ruff")
    package = skeletons / name
    strict = ("--config", str(ROOT / "pyproject.toml"), "--extend-ignore", "I")
    for words in (("check",), ("check", *strict), ("format", "--check")):
        called("ruff", words[0], "--no-cache", *words[1:], cwd=package, env=plain_environment())


def test_mypy_finds_nothing_however_strict(skeletons: Path) -> None:
    pytest.importorskip("mypy")
    package = skeletons / NAMES[0]
    (package / "mypy.ini").write_text(WITHOUT_TORCH, encoding="utf-8")
    called("mypy", cwd=package, env=plain_environment())


def test_it_passes_its_own_tests_and_every_check(skeletons: Path, tmp_path: Path) -> None:
    name = NAMES[1]
    env = installed_beside(skeletons / name, tmp_path / "installed")
    output = called("pytest", "-q", name, cwd=skeletons, env=env)
    passed = int(output.rpartition("\n")[2].split(" passed")[0])
    assert passed > 10  # its own, and the checks
    assert "failed" not in output
    report = called("deepobs", "check", "--all-of", name, cwd=tmp_path, env=env)
    assert "No failures." in report
    trained = ("run", "wavelet_wavelet_problems_mlp", "Adam", "--lr", "0.01")
    assert "test accuracy 0.9" in called("deepobs", *trained, cwd=tmp_path, env=env)
