"""Making the files of a new package, all of them or none."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from deepobs import __version__
from deepobs.errors import OutputError
from deepobs.plugins import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs_testing.skeleton.names import Names


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file of a new package.

    Attributes:
        path: Where it is in the package's directory; may name what `substitutions` has.
        template: Name of its template.
        summary: What it holds, in a few words.
    """

    path: str
    template: str
    summary: str


FILES = (
    PackageFile("pyproject.toml", "pyproject.toml", "what it needs, and how DeepOBS finds it"),
    PackageFile("README.md", "README.md", "what it is and how to try it"),
    PackageFile(".gitignore", "gitignore", "what does not belong into the repository"),
    PackageFile("src/$package/__init__.py", "package", "empty but for a line"),
    PackageFile("src/$package/py.typed", "empty", "tells type checkers to look inside"),
    PackageFile("src/$package/plugin.py", "plugin", "what it offers: names, sizes, defaults"),
    PackageFile("src/$package/dataset.py", "dataset", "the data set"),
    PackageFile("src/$package/problem.py", "problem", "the model, the loss and the accuracy"),
    PackageFile("tests/test_conformance.py", "conformance_tests", "all that DeepOBS expects"),
    PackageFile("tests/test_problem.py", "own_tests", "what is special about this problem"),
)


def write_package(names: Names, parent: Path) -> dict[Path, str]:
    """Write a package that can be installed and tested as it is.

    Args:
        names: What it and everything in it is called.
        parent: Where to make its directory; made where it does not exist.

    Returns:
        What each file holds, in a few words, by its path.

    Raises:
        OutputError: There is something of this name already, or nothing can be written there.
    """
    directory = parent / names.distribution
    substituted = substitutions(names)
    written = {}
    with _appearing_whole(directory) as unfinished:
        for file in FILES:
            path = Path(Template(file.path).substitute(substituted))
            target = unfinished / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_template(file.template).substitute(substituted), encoding="utf-8")
            written[directory / path] = file.summary
    return written


def substitutions(names: Names) -> dict[str, str]:
    """What stands for each word that the templates leave open."""
    major, minor, *_ = __version__.split(".")
    return {
        "distribution": names.distribution,
        "package": names.package,
        "name": names.name,
        "dataset": names.dataset,
        "problem": names.problem,
        "stem": names.stem,
        "core_versions": f">={major}.{minor},<{int(major) + 1}",
        "api_version": str(API_VERSION),
    }


def _template(name: str) -> Template:
    source = files("deepobs_testing.skeleton") / "templates" / f"{name}.template"
    return Template(source.read_text(encoding="utf-8"))


@contextmanager
def _appearing_whole(directory: Path) -> Iterator[Path]:
    """A directory beside a place, which takes it once the block ended without an error."""
    if os.path.lexists(directory):
        raise OutputError(
            f"{directory} is there already, and nothing of it is overwritten. Choose another name, "
            "or another place by --out, or move it away."
        )
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=directory.parent) as beside:
            unfinished = Path(beside) / directory.name
            unfinished.mkdir()
            yield unfinished
            unfinished.rename(directory)
    except OSError as error:
        raise OutputError(
            f"{directory} cannot be written: {error.strerror or error}. "
            "Choose another place by --out."
        ) from error
