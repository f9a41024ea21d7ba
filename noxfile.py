"""All that is done with the repository: `nox` runs every test, `nox -l` lists the rest.

Every environment is built by uv, which links torch from its cache: the first costs a download, each
further one seconds. What is tested are the built wheels, as users get them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "typing", "tests", "integration", "release", "docs", "quickstart"]

# Without compiled modules every process that imports torch takes ten seconds to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SIBLINGS = {  # package -> other packages of this repository that it depends on
    "deepobs-core": [],
    "deepobs-bench": ["deepobs-core"],
    "deepobs-testing": ["deepobs-core"],
    "deepobs-vision": ["deepobs-core"],
    "deepobs-text": ["deepobs-core"],
    "deepobs-analysis": ["deepobs-core"],
}
TESTED_WITH = {  # package -> other packages of this repository that only its tests use
    "deepobs-vision": ["deepobs-testing"],
    "deepobs-text": ["deepobs-testing"],
    "deepobs-analysis": ["deepobs-bench"],
}
EXTRAS = {  # what the tests use, too
    "deepobs-core": ["deepobs-core[tensorboard]"],
    "deepobs-bench": ["deepobs-core[tensorboard]", "deepobs-bench[dask,tune]"],
    "deepobs-analysis": ["scipy"],
}
AT_MINIMUMS = {  # tests that use every requirement
    "deepobs-core": "cli_run registry store tensorboard",
    "deepobs-bench": "dask experiment_files tuning",
    "deepobs-testing": "conformance new_plugin",
    "deepobs-vision": "digits layers runs streaming_images svhn",
    "deepobs-text": "char_rnn dataset transformer",
    "deepobs-analysis": "loading report selection table",
}
NEWER_PYTHONS = ["3.12", "3.13", "3.14"]
# Several files of tests at once, torch with one thread in each: more would wait for each other.
IN_PARALLEL = ("-n", "logical", "--maxprocesses", "4", "--dist", "loadfile")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
DIST = Path("dist")
CONSTRAINTS = ("-c", "constraints.txt")


def install_wheels(
    session: nox.Session,
    packages: list[str],
    *further: str,
    versions: tuple[str, str] = CONSTRAINTS,
) -> None:
    """Install built wheels of ours, with what they declare to need, and further requirements."""
    arguments = []
    for package in packages:
        (wheel,) = DIST.glob(f"{package.replace('-', '_')}-*.whl")
        # An environment that is used again would keep the old code of an unchanged version.
        arguments += [f"--reinstall-package={package}", str(wheel)]
    session.install(*versions, *arguments, *further)


def run_tests(session: nox.Session, directory: str) -> None:
    """Run the tests of a directory, several files at once."""
    session.run("pytest", *IN_PARALLEL, directory, *session.posargs, env=ONE_THREAD)


def test_package(session: nox.Session, package: str) -> None:
    """Run the tests of one package in an environment that holds only what it declares."""
    further = ("pytest", "pytest-xdist", *EXTRAS.get(package, []))
    ours = [*SIBLINGS[package], *TESTED_WITH.get(package, []), package]
    install_wheels(session, ours, *further)
    run_tests(session, f"tests/{package.removeprefix('deepobs-')}")


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist of every package, the wheel from it, and check what indexes will check."""
    shutil.rmtree(DIST, ignore_errors=True)
    session.install(*CONSTRAINTS, "uv", "twine", "check-wheel-contents")
    building = ("uv", "build", "--quiet", "--build-constraints", "constraints.txt")
    for package in SIBLINGS:
        session.run(*building, f"packages/{package}", "--out-dir", str(DIST))
    wheels = [str(wheel) for wheel in sorted(DIST.glob("*.whl"))]
    session.run("twine", "check", "--strict", *wheels, *map(str, sorted(DIST.glob("*.tar.gz"))))
    session.run("check-wheel-contents", *wheels)


@nox.session(requires=["build"])
@nox.parametrize("package", [nox.param(package, id=package) for package in SIBLINGS])
def tests(session: nox.Session, package: str) -> None:
    """Test the built wheel of one package, with nothing installed but what it declares."""
    test_package(session, package)


@nox.session(requires=["build"], python=NEWER_PYTHONS, default=False, download_python="never")
@nox.parametrize("package", [nox.param(package, id=package) for package in SIBLINGS])
def newer_python(session: nox.Session, package: str) -> None:
    """The same on newer Pythons; skipped where there is none."""
    test_package(session, package)


@nox.session(requires=["build"])
def integration(session: nox.Session) -> None:
    """Test all wheels together: discovery, the command line, the README, others' optimizers."""
    optimizers = ("pytorch_optimizer", "schedulefree", "backpack-for-pytorch")
    tools = ("pytest", "pytest-xdist", "mypy", "ruff", "uv", "jsonschema")
    further = (*tools, *EXTRAS["deepobs-bench"], *optimizers)
    install_wheels(session, list(SIBLINGS), *further)
    run_tests(session, "tests/integration")


@nox.session(requires=["build"])
def release(session: nox.Session) -> None:
    """Check what is said about a release, and that any subset of the packages can be installed."""
    session.install(*CONSTRAINTS, "pytest", "ruamel.yaml", "packaging", "uv")
    # Beside uv's cache: on another file system, torch would be copied for every environment.
    place = ("--basetemp", str(Path(session.create_tmp()) / "tests"))
    session.run("pytest", "tests/release", *place, *session.posargs)


@nox.session(requires=["build"])
def docs(session: nox.Session) -> None:
    """Build the documentation, the figures of its gallery with it; a warning is an error."""
    install_wheels(session, list(SIBLINGS), "sphinx", "myst-parser", "furo", "latex2mathml")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build/html", *session.posargs)


@nox.session(requires=["build"])
def quickstart(session: nox.Session) -> None:
    """Benchmark three optimizers on embedded data and show a table."""
    install_wheels(session, list(SIBLINGS))
    session.run("python", "examples/quickstart.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, and which modules import which (the contracts in pyproject.toml)."""
    session.install(*CONSTRAINTS, "ruff", "import-linter")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    # The source is enough: nothing is imported, so nothing has to be installed.
    sources = os.pathsep.join(f"packages/{package}/src" for package in SIBLINGS)
    session.run("lint-imports", env={"PYTHONPATH": sources})


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of all packages."""
    editable = [part for package in SIBLINGS for part in ("-e", f"packages/{package}")]
    further = ("mypy", "pandas-stubs", "pytest", "optuna", "distributed")
    session.install(*CONSTRAINTS, *editable, *further)
    session.run("mypy", *(f"packages/{package}/src" for package in SIBLINGS), "tools")


@nox.session(requires=["build"], default=False)
@nox.parametrize("package", [nox.param(package, id=package) for package in SIBLINGS])
def minimums(session: nox.Session, package: str) -> None:
    """Run a part of the tests with the oldest versions that a package says suffice (gigabytes)."""
    session.install(*CONSTRAINTS, "uv")
    oldest = str(Path(session.create_tmp()) / "oldest.txt")
    compiling = ("uv", "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--all-extras")
    places = (
        "--find-links",
        str(DIST),
        "--output-file",
        oldest,
        f"packages/{package}/pyproject.toml",
    )
    session.run(*compiling, *places)
    ours = [*SIBLINGS[package], *TESTED_WITH.get(package, []), package]
    further = ("pytest", *EXTRAS.get(package, []))
    install_wheels(session, ours, *further, versions=("-c", oldest))
    folder = f"tests/{package.removeprefix('deepobs-')}"
    tests = [f"{folder}/test_{name}.py" for name in AT_MINIMUMS[package].split()]
    # Old releases use what newer ones of other packages deprecate, which does no harm.
    session.run("pytest", "-W", "ignore::DeprecationWarning", *tests, *session.posargs)


@nox.session(requires=["build"], default=False)
def benchmarks(session: nox.Session) -> None:
    """Time training steps against hand-written loops, and data pipelines against torchvision's."""
    install_wheels(session, list(SIBLINGS))
    for benchmark in sorted(Path("benchmarks").glob("*.py")):
        session.run("python", str(benchmark))


@nox.session(requires=["build"], default=False)
def reproduction(session: nox.Session) -> None:
    """Train on real data and compare with the published curves (a quarter of an hour)."""
    install_wheels(session, list(SIBLINGS), "pytest")
    session.run("pytest", "-m", "slow", "tests/reproduction", *session.posargs)


@nox.session(requires=["build"], default=False)
def conformance(session: nox.Session) -> None:
    """Make every conformance check of the largest networks, too."""
    install_wheels(session, ["deepobs-core", "deepobs-testing", "deepobs-vision"], "pytest")
    session.run("pytest", "-m", "slow", "tests/vision/test_conformance.py", *session.posargs)


@nox.session(requires=["build"], default=False)
def robustness(session: nox.Session) -> None:
    """Kill the processes of sweeps at random moments, 50 times (half an hour)."""
    install_wheels(session, list(SIBLINGS), "pytest", *EXTRAS["deepobs-bench"])
    session.run("pytest", "-m", "slow", "tests/robustness", *session.posargs)
