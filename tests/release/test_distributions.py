"""What is in the built distributions, and that they build again without the repository."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from fresh_environments import DIST, OURS
from installed_packages import CONSTRAINTS, uv

pytestmark = pytest.mark.skipif(
    not list(DIST.glob("*.whl")), reason="nothing is built: run `nox -s release`"
)


def built(package: str, ending: str, folder: Path = DIST) -> Path:
    (path,) = folder.glob(f"{package.replace('-', '_')}-*{ending}")
    return path


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("package", OURS)
def test_an_unpacked_sdist_builds_the_same_wheel(package: str, tmp_path: Path) -> None:
    with tarfile.open(built(package, ".tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    words = ("build", "--wheel", "--offline", "--build-constraints", str(CONSTRAINTS))
    subprocess.run(
        (uv(), *words, "--out-dir", "wheels", str(unpacked)),
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
        capture_output=True,
        check=True,
    )
    again = built(package, ".whl", tmp_path / "wheels")
    assert again.name == built(package, ".whl").name
    assert contents(again) == contents(built(package, ".whl"))


@pytest.mark.parametrize("package", OURS)
def test_an_sdist_holds_the_source_and_nothing_else(package: str) -> None:
    with tarfile.open(built(package, ".tar.gz")) as archive:
        parts = {Path(member.name).parts[1] for member in archive if member.isfile()}
    read_by_hatchling = {".gitignore"}
    assert parts - read_by_hatchling == {
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "src",
    }
