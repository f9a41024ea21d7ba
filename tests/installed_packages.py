"""Installs packages for a test without changing its own environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
_BIN = Path(sys.executable).parent


_OF_THESE_TESTS = (
    *("DEEPOBS_", "PYTHON", "VIRTUAL_ENV", "NOX_", "PYTEST_", "MPL"),
    *("UV_PYTHON", "UV_PROJECT"),  # set by nox
)
"""Prefixes of variables about the environment of these tests or settings of DeepOBS."""


def variables_of_others() -> dict[str, str]:
    """The environment variables of this process except those about its packages and settings."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(_OF_THESE_TESTS)
    }


def uv() -> str:
    """The path of uv; skips the test if it is not installed."""
    found = shutil.which("uv", path=os.pathsep.join((str(_BIN), os.environ.get("PATH", ""))))
    if found is None:
        pytest.skip("uv is not installed: run `nox -s integration`")
    return found


def installed_beside(source: Path, target: Path) -> dict[str, str]:
    """Build a package and install it into a separate directory.

    Args:
        source: The directory of the package.
        target: Where to install it. Its requirements come from the running environment.

    Returns:
        The environment variables of a process that finds both.
    """
    words = ("pip", "install", "--quiet", "--no-deps", "--python", sys.executable)
    places = ("--target", str(target), "--build-constraints", str(CONSTRAINTS), str(source))
    finished = subprocess.run([uv(), *words, *places], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return plain_environment() | {"PYTHONPATH": str(target)}


def plain_environment() -> dict[str, str]:
    """The environment variables of a process that uses the packages of this environment."""
    path = os.pathsep.join((str(_BIN), os.environ["PATH"]))
    # Several threads would compete with other tests for the cores.
    return os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}


def called(*words: str, cwd: Path, env: dict[str, str]) -> str:
    """Execute a command.

    Args:
        words: The command.
        cwd: Working directory.
        env: Environment variables; `PATH` determines the program.

    Returns:
        Standard output without the last line break.
    """
    finished = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    return finished.stdout.rstrip("\n")
