"""What is said about a release: versions, dependencies, descriptions, how to cite it."""

from __future__ import annotations

import ast
import datetime
import re
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import documents
import pytest
from fresh_environments import OURS
from installed_packages import ROOT
from packaging.requirements import Requirement
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMPORTED_AS = {  # distribution -> what it is imported as, where that differs
    "deepobs-core": "deepobs",
    "importlib-metadata": "importlib_metadata",
    "pillow": "PIL",
    "ruamel.yaml": "ruamel",
    "scikit-learn": "sklearn",
}
COMES_WITH = {"dask": "distributed", "pydantic_core": "pydantic"}  # which pin it to a version
NEEDED_BY_OTHERS = {
    "deepobs-bench": {"scipy"},  # by Optuna, for one of its samplers
    "deepobs-core": {"urllib3"},  # by requests: older ones miss a truncated download
}
COMMON_KEYS = {"authors", "classifiers", "description", "keywords", "license", "urls"}


def project(package: str) -> dict[str, Any]:
    text = (ROOT / "packages" / package / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]


def requirements(package: str) -> dict[str, Requirement]:
    """What a package needs, with and without extras, by name."""
    declared = project(package)
    extras = declared.get("optional-dependencies", {}).values()
    lines = [*declared["dependencies"], *(line for extra in extras for line in extra)]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def source(package: str) -> Path:
    (init,) = (ROOT / "packages" / package / "src").glob("*/__init__.py")
    return init.parent


def version_of(package: str) -> str:
    text = (source(package) / "__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return version


def citation() -> dict[str, Any]:
    return YAML(typ="safe").load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def newest_change() -> tuple[str, str]:
    """Version and date of the newest release in the changelog."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return re.findall(r"^## (\d\S*) - (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)[0]


def test_all_say_the_same_version() -> None:
    version, date = newest_change()
    assert {package: version_of(package) for package in OURS} == dict.fromkeys(OURS, version)
    assert citation()["version"] == version
    assert citation()["date-released"] == datetime.date.fromisoformat(date)


@pytest.mark.parametrize("package", OURS)
def test_the_version_is_written_in_one_place(package: str) -> None:
    version = version_of(package)
    assert "version" in project(package)["dynamic"]
    holders = [path for path in source(package).rglob("*.py") if version in path.read_text("utf-8")]
    assert [path.name for path in holders] == ["__init__.py"]


@pytest.mark.parametrize("package", OURS)
def test_a_package_says_what_it_is(package: str) -> None:
    declared = project(package)
    assert declared.keys() >= COMMON_KEYS
    assert declared["urls"] == {"Paper": citation()["preferred-citation"]["url"]}
    licences = [ROOT / "LICENSE", ROOT / "packages" / package / "LICENSE"]
    assert len({path.read_bytes() for path in licences}) == 1


@pytest.mark.parametrize("package", OURS)
def test_a_description_leads_nowhere_into_the_repository(package: str) -> None:
    text = (ROOT / "packages" / package / "README.md").read_text(encoding="utf-8")
    assert [link for link in documents.links(text) if not link.startswith("https://")] == []


# What a package needs


@pytest.mark.parametrize("package", OURS)
def test_requirements_have_lower_bounds_and_ours_an_upper_one(package: str) -> None:
    for name, requirement in requirements(package).items():
        bounds = {one.operator: one.version for one in requirement.specifier}
        if name in OURS:
            major, minor, _ = version_of(package).split(".")
            assert bounds == {">=": f"{major}.{minor}", "<": str(int(major) + 1)}
        else:
            assert bounds.keys() == {">="}, "an upper bound keeps users from what may well work"


@pytest.mark.parametrize("package", OURS)
def test_what_is_imported_is_required_and_nothing_else(package: str) -> None:
    imported = set(imports_of(package)) - sys.stdlib_module_names - {source(package).name}
    needed = {COMES_WITH.get(module, module) for module in imported}
    needed |= NEEDED_BY_OTHERS.get(package, set())
    assert needed == {IMPORTED_AS.get(name, name) for name in requirements(package)}


def imports_of(package: str) -> Iterator[str]:
    """The top-level names that the modules of a package import, anywhere in them."""
    for path in source(package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: imports are absolute"
                yield (node.module or "").partition(".")[0]


# How to cite it


def test_the_citation_has_what_its_schema_asks_for() -> None:
    cited = citation()
    assert cited["cff-version"] == "1.2.0"
    assert cited.keys() >= {"authors", "message", "title", "type", "license"}
    paper = cited["preferred-citation"]
    assert paper["title"] == "DeepOBS: A Deep Learning Optimizer Benchmark Suite"
    assert [one["family-names"] for one in paper["authors"]] == ["Schneider", "Balles", "Hennig"]
    assert (paper["type"], paper["year"]) == ("conference-paper", 2019)
