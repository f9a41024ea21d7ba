"""The Python that runs this, the system it runs on, and its clock."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import deepobs
from deepobs.cli.diagnosis.findings import Advice, Fact, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOLERATED_SECONDS = 60


def python() -> Iterator[Fact]:
    """Which Python this is, and where DeepOBS lies."""
    yield Fact("Python", platform.python_version())
    yield Fact("executable", sys.executable)
    yield Fact("system", platform.platform())
    yield Fact("deepobs", str(Path(deepobs.__file__).parent))


def virtual_environment() -> Iterator[Fact]:
    """What keeps the installed packages apart from those of the system."""
    conda = os.environ.get("CONDA_PREFIX")
    if sys.prefix != sys.base_prefix:
        yield Fact("environment", sys.prefix, f"the virtual environment {sys.prefix}")
    elif conda and Path(sys.prefix) == Path(conda):
        yield Fact("environment", conda, f"the conda environment {conda}")
    else:
        yield Fact("environment", None, "none: packages are installed for the whole Python")


def compiled_modules() -> Iterator[Advice]:
    """Whether Python may keep what it compiles."""
    if sys.dont_write_bytecode and sys.pycache_prefix is None:
        yield Advice(
            "Python may not keep compiled modules (PYTHONDONTWRITEBYTECODE or -B), so that every "
            "start compiles torch anew, for ten seconds.",
            "Unset PYTHONDONTWRITEBYTECODE, at least where many runs are started.",
        )


def clock() -> Iterator[Trouble]:
    """Whether the clock is behind the files of this package, which cannot be from the future."""
    written = Path(deepobs.__file__).stat().st_mtime
    behind = written - time.time()
    if behind > _TOLERATED_SECONDS:
        yield Trouble(
            f"The clock says {time.strftime('%Y-%m-%d %H:%M')}, but DeepOBS was installed later: "
            f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(written))}. Results would be dated "
            "wrongly, and the latest of two could not be told.",
            "Set the clock of this machine, such as by `timedatectl set-ntp true`.",
        )
