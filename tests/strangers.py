"""Packages of strangers, installed for a test without touching the environment it runs in."""

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
    *("UV_PYTHON", "UV_PROJECT"),  # by which nox says where to install
)
"""How the variables begin that tell of the environment of these tests, or of settings of ours."""


def variables_of_others() -> dict[str, str]:
    """The environment variables of this process that say nothing of it and of its packages."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(_OF_THESE_TESTS)
    }


def uv() -> str:
    """The program that installs; skips the test where there is none."""
    found = shutil.which("uv", path=os.pathsep.join((str(_BIN), os.environ.get("PATH", ""))))
    if found is None:
        pytest.skip("uv is not there: run `nox -s integration`")
    return found


def installed_beside(source: Path, target: Path) -> dict[str, str]:
    """Build a package and install it into a directory of its own.

    Args:
        source: The directory of the package.
        target: Where to install it. What it needs is that of the running environment.

    Returns:
        The environment variables of a process that finds both.
    """
    words = ("pip", "install", "--quiet", "--no-deps", "--python", sys.executable)
    places = ("--target", str(target), "--build-constraints", str(CONSTRAINTS), str(source))
    finished = subprocess.run([uv(), *words, *places], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return plain_environment() | {"PYTHONPATH": str(target)}


def plain_environment() -> dict[str, str]:
    """The environment variables of a process that calls what is installed here."""
    path = os.pathsep.join((str(_BIN), os.environ["PATH"]))
    # Threads that wait for each other in tiny operations are slow where other tests run, too.
    return os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}


def called(*words: str, cwd: Path, env: dict[str, str]) -> str:
    """Carry out a command.

    Args:
        words: The command.
        cwd: Where.
        env: Its environment variables; `PATH` says whose command it is.

    Returns:
        What it writes to standard output, without the last line break.
    """
    finished = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    return finished.stdout.rstrip("\n")
