"""`deepobs new-plugin`: write a package with a test problem, as the start of a plugin."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import click
from importlib_metadata import PackageNotFoundError, version

from deepobs import __version__ as core_version
from deepobs.console import screen
from deepobs.errors import ArgumentError, OutputError
from deepobs.plugins import API_VERSION, registry
from deepobs.plugins.installed import OUR_DISTRIBUTIONS, normalized
from deepobs_testing import __version__ as testing_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from deepobs.plugins.catalog import Catalog

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_PREFIX = "deepobs_"
# A longer name would make lines of the generated files longer than their linter permits.
_LONGEST = 24


@dataclass(frozen=True, slots=True)
class Names:
    """The names that follow from that of a distribution, such as `deepobs-acme`.

    Attributes:
        distribution: Its normalized name.
        package: The import name: `deepobs_acme`.
        name: That of the entry point and of the data set: `acme`.
    """

    distribution: str
    package: str
    name: str

    @property
    def problem(self) -> str:
        """The name of the test problem: `acme_mlp`."""
        return f"{self.name}_mlp"

    @property
    def stem(self) -> str:
        """The prefix of the names of classes: `Acme`."""
        return "".join(word.capitalize() for word in self.name.split("_"))


def names_of(distribution: str) -> Names:
    """Derive all names from that of the distribution.

    Raises:
        ArgumentError: It is invalid, or a name that follows from it is taken.
    """
    if not _DISTRIBUTION.match(distribution):
        raise ArgumentError(
            f"{distribution!r} is not a valid name of a distribution. A name has letters, digits, "
            "'-', '_' and '.', and begins and ends with a letter or a digit, such as "
            "'deepobs-acme'."
        )
    canonical = normalized(distribution)
    package = canonical.replace("-", "_")
    names = Names(canonical, package, package.removeprefix(_PREFIX))
    _check_identifiers(names)
    _check_not_installed(names)
    _check_not_offered(names.problem, registry().problems)
    _check_not_offered(names.name, registry().datasets)
    return names


def _check_identifiers(names: Names) -> None:
    for name in (names.package, names.name):
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ArgumentError(
                f"{names.distribution!r} cannot be used: {name!r}, from which names in the package "
                "are made, is not a Python identifier. Choose a name that begins with a letter and "
                "is not a keyword, such as 'deepobs-acme'."
            )
    if len(names.name) > _LONGEST:
        raise ArgumentError(
            f"{names.distribution!r} is too long: {names.name!r} has {len(names.name)} characters. "
            f"Choose at most {_LONGEST}, not counting 'deepobs-'."
        )


def _check_not_installed(names: Names) -> None:
    """Two packages of one import name would hide each other."""
    if names.distribution in {"deepobs", *OUR_DISTRIBUTIONS}:
        raise ArgumentError(
            f"{names.distribution!r} is a package of DeepOBS itself. Choose another name, such as "
            "'deepobs-acme'."
        )
    try:
        found = f"{names.distribution} {version(names.distribution)} is already installed"
    except PackageNotFoundError:
        found = _module_called(names.package)
    if found:
        raise ArgumentError(
            f"{names.distribution!r} is taken: {found}. Choose another name, such as "
            f"'deepobs-{names.name.replace('_', '-')}-problems'."
        )


def _module_called(package: str) -> str:
    """Describe the module of this name; empty if there is none."""
    if package in sys.stdlib_module_names:
        return f"{package!r} is a module of Python's standard library"
    found = importlib.util.find_spec(package)
    # A directory of this name in the current one is found as well, without an origin. It hides
    # nothing once the package is installed, and may be the parent of the package.
    if found is None or found.origin is None:
        return ""
    return f"the module {package!r} already exists in {found.origin}"


def _check_not_offered(name: str, catalog: Catalog[Any]) -> None:
    offers = catalog.called(name)
    owner = offers[0].origin if offers else registry().first_party_owner(name)
    if owner:
        raise ArgumentError(
            f"The {catalog.kind} would be called {name!r}, like one of {owner}, and the name alone "
            "would be ambiguous. Choose another name for the package."
        )


FILES = (
    ("pyproject.toml", "pyproject.toml", "requirements, and the entry point for DeepOBS"),
    ("README.md", "README.md", "what it is and how to try it"),
    (".gitignore", "gitignore", "what to keep out of the repository"),
    ("src/$package/__init__.py", "package", "a docstring only"),
    ("src/$package/py.typed", "empty", "tells type checkers that the package has types"),
    ("src/$package/plugin.py", "plugin", "what it offers: names, sizes, defaults"),
    ("src/$package/dataset.py", "dataset", "the data set"),
    ("src/$package/problem.py", "problem", "the model, the loss and the accuracy"),
    ("tests/test_conformance.py", "conformance_tests", "the conformance checks of DeepOBS"),
    ("tests/test_problem.py", "own_tests", "tests of this problem in particular"),
)
"""Path of each file, with placeholders; name of its template; what it holds."""


def write_package(names: Names, parent: Path) -> dict[Path, str]:
    """Write a package that can be installed and tested unchanged; return the content of each file.

    Raises:
        OutputError: Its directory already exists, or cannot be written.
    """
    directory = parent / names.distribution
    values = substitutions(names)
    templates = files("deepobs_testing") / "templates"
    written = {}
    with _created_whole(directory) as unfinished:
        for placeholder, template, summary in FILES:
            path = Path(Template(placeholder).substitute(values))
            text = (templates / f"{template}.template").read_text(encoding="utf-8")
            (unfinished / path).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / path).write_text(Template(text).substitute(values), encoding="utf-8")
            written[directory / path] = summary
    return written


def substitutions(names: Names) -> dict[str, str]:
    """The value of each placeholder of the templates."""
    return {
        "distribution": names.distribution,
        "package": names.package,
        "name": names.name,
        "dataset": names.name,
        "problem": names.problem,
        "stem": names.stem,
        "core_versions": _compatible_with(core_version),
        "testing_versions": _compatible_with(testing_version),
        "api_version": str(API_VERSION),
    }


def _compatible_with(release: str) -> str:
    major, minor, *_ = release.split(".")
    return f">={major}.{minor},<{int(major) + 1}"


@contextmanager
def _created_whole(directory: Path) -> Iterator[Path]:
    """A temporary directory that is renamed if the block ends without an error."""
    if os.path.lexists(directory):
        raise OutputError(
            f"{directory} already exists and is not overwritten. Choose another name or another "
            "directory (--out), or move it away."
        )
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        # Beside its final place, since a rename across file systems would not be atomic.
        with tempfile.TemporaryDirectory(prefix=".", dir=directory.parent) as beside:
            unfinished = Path(beside) / directory.name
            unfinished.mkdir()
            yield unfinished
            unfinished.rename(directory)
    except OSError as error:
        raise OutputError(
            f"{directory} cannot be written: {error.strerror or error}. "
            "Choose another directory with --out."
        ) from error


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--out",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Parent of the package's directory [default: the current directory].",
)
def command(name: str, parent: Path) -> None:
    """Write a package with a test problem, as the start of a plugin.

    NAME is that of the distribution. For deepobs-acme, the import name is deepobs_acme, the data
    set acme and the test problem acme_mlp. The package can be installed and passes its tests as it
    is; turn it step by step into your own.

    \b
    Example:
      deepobs new-plugin deepobs-acme
    """  # noqa: D301 # \b keeps click from joining the lines of the example
    names = names_of(name)
    written = write_package(names, parent)
    directory = parent / names.distribution
    heading = f"{names.distribution}: data set {names.name}, test problem {names.problem}"
    screen.show(heading, is_heading=True)
    screen.show_fields({str(path): summary for path, summary in written.items()}, indent="  ")
    screen.show()
    screen.show("Next:")
    place = directory if directory.is_absolute() else f"./{directory}"
    for line in (
        f'pip install -e "{place}[test]"',
        f"deepobs check --all-of {names.distribution}",
        f'pytest "{directory}"' if " " in str(directory) else f"pytest {directory}",
        f"deepobs run {names.problem} Adam --lr 0.01",
    ):
        screen.show(f"  {line}")
