"""What the built distributions hold, and that these tests run against them."""

import importlib
import tarfile
import zipfile
from importlib.metadata import entry_points, requires, version
from pathlib import Path

import pytest

import deepobs

DIST = Path(__file__).resolve().parents[2] / "dist"
PACKAGES = {
    "deepobs-core": "deepobs",
    "deepobs-bench": "deepobs_bench",
    "deepobs-testing": "deepobs_testing",
    "deepobs-vision": "deepobs_vision",
    "deepobs-text": "deepobs_text",
    "deepobs-analysis": "deepobs_analysis",
}
DEPENDENT = [package for package in PACKAGES if package != "deepobs-core"]

pytestmark = pytest.mark.skipif(
    not list(DIST.glob("*.whl")), reason="nothing is built: run `nox -s integration`"
)


def names_in_wheel(package):
    (wheel,) = DIST.glob(f"{package.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.parametrize("import_name", PACKAGES.values())
def test_the_tests_run_against_installed_wheels(import_name):
    module = importlib.import_module(import_name)
    assert "site-packages" in Path(module.__file__).parts


def test_no_two_wheels_share_a_package():
    tops = [
        {name.split("/")[0] for name in names_in_wheel(package) if ".dist-info" not in name}
        for package in PACKAGES
    ]
    # The command is outside of the package, to say so where another one has overwritten that.
    tops[0].remove("deepobs_command.py")
    assert tops == [{import_name} for import_name in PACKAGES.values()]


@pytest.mark.parametrize(("package", "import_name"), PACKAGES.items())
def test_a_wheel_holds_types_and_licence_but_no_tests(package, import_name):
    names = names_in_wheel(package)
    assert f"{import_name}/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    modules = {name.rpartition("/")[2] for name in names}
    assert not any(module.startswith(("test_", "conftest")) for module in modules)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_holds_every_file_of_the_source(package):
    source = DIST.parent / "packages" / package / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files == {name for name in names_in_wheel(package) if ".dist-info" not in name}


def test_the_stubs_of_the_facade_are_shipped():
    names = set(names_in_wheel("deepobs-core"))
    for module in ("testproblems", "datasets", "runners"):
        assert f"deepobs/pytorch/{module}/__init__.pyi" in names


@pytest.mark.parametrize("package", PACKAGES)
def test_the_sdist_builds_on_its_own(package):
    (sdist,) = DIST.glob(f"{package.replace('-', '_')}-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {
            Path(name).relative_to(Path(name).parts[0]).as_posix() for name in archive.getnames()
        }
    assert {"pyproject.toml", "README.md", "LICENSE"} <= names


@pytest.mark.parametrize("package", DEPENDENT)
def test_versions_agree_and_siblings_are_required_by_range(package):
    assert version("deepobs-core") == version(package) == deepobs.__version__
    (requirement,) = [line for line in requires(package) if line.startswith("deepobs-core")]
    assert ">=1.2" in requirement
    assert "<2" in requirement


def test_pytest_finds_the_conformance_checks():
    (entry,) = (one for one in entry_points(group="pytest11") if one.dist.name == "deepobs-testing")
    assert (entry.name, entry.value) == ("deepobs", "deepobs_testing.pytest_plugin")


def test_each_package_registers_one_plugin():
    ours = {
        entry.dist.name: entry.value
        for entry in entry_points(group="deepobs")
        if entry.dist.name in PACKAGES
    }
    assert ours == {
        "deepobs-core": "deepobs.plugins.builtin",
        "deepobs-bench": "deepobs_bench.plugin",
        "deepobs-testing": "deepobs_testing.plugin",
        "deepobs-vision": "deepobs_vision.plugin",
        "deepobs-text": "deepobs_text.plugin",
        "deepobs-analysis": "deepobs_analysis.plugin",
    }
