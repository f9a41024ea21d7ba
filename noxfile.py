"""Development tasks: `nox` executes all checks and tests, `nox -l` lists the other sessions.

uv creates the environments and links torch from its cache: the first one needs a download, the
others take seconds. The tests use the built wheels, as users install them.
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

# Without bytecode, every process that imports torch takes ten seconds to start.
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
EXTRAS = {  # package -> further requirements of its tests
    "deepobs-core": ["deepobs-core[tensorboard]"],
    "deepobs-bench": ["deepobs-core[tensorboard]", "deepobs-bench[dask,tune]"],
}
AT_MINIMUMS = {  # package -> tests that together use every requirement
    "deepobs-core": "cli_run registry store tensorboard",
    "deepobs-bench": "dask experiment_files tuning",
    "deepobs-testing": "conformance new_plugin",
    "deepobs-vision": "digits layers runs streaming_images svhn",
    "deepobs-text": "char_rnn dataset transformer",
    "deepobs-analysis": "loading report selection table",
}
NEWER_PYTHONS = ["3.12", "3.13", "3.14"]
# Test files in parallel, each with one torch thread: more threads would compete for the cores.
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
    """Install built wheels of ours with their declared and with further requirements."""
    arguments = []
    for package in packages:
        (wheel,) = DIST.glob(f"{package.replace('-', '_')}-*.whl")
        # A reused environment would keep the old code, because the version is unchanged.
        arguments += [f"--reinstall-package={package}", str(wheel)]
    session.install(*versions, *arguments, *further)


def run_tests(session: nox.Session, directory: str) -> None:
    """Execute the tests of a directory, several files in parallel."""
    session.run("pytest", *IN_PARALLEL, directory, *session.posargs, env=ONE_THREAD)


def test_package(session: nox.Session, package: str) -> None:
    """Execute the tests of one package in an environment with only its declared requirements."""
    further = ("pytest", "pytest-xdist", *EXTRAS.get(package, []))
    ours = [*SIBLINGS[package], *TESTED_WITH.get(package, []), package]
    install_wheels(session, ours, *further)
    run_tests(session, f"tests/{package.removeprefix('deepobs-')}")


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist of every package and the wheel from it, and check both for publication."""
    shutil.rmtree(DIST, ignore_errors=True)
    session.install(*CONSTRAINTS, "uv", "twine", "check-wheel-contents")
    building = ("uv", "build", "--quiet", "--build-constraints", "constraints.txt")
    for package in SIBLINGS:
        session.run(*building, f"packages/{package}", "--out-dir", str(DIST))
    wheels = [str(wheel) for wheel in sorted(DIST.glob("*.whl"))]
    session.run("twine", "check", "--strict", *wheels, *map(str, sorted(DIST.glob("*.tar.gz"))))
    # W009: the command of the core has a module beside the package, which tells if another package
    # has overwritten it.
    session.run("check-wheel-contents", "--ignore", "W009", *wheels)


@nox.session(requires=["build"])
@nox.parametrize("package", [nox.param(package, id=package) for package in SIBLINGS])
def tests(session: nox.Session, package: str) -> None:
    """Test the built wheel of one package with only its declared requirements installed."""
    test_package(session, package)


@nox.session(requires=["build"], python=NEWER_PYTHONS, default=False, download_python="never")
@nox.parametrize("package", [nox.param(package, id=package) for package in SIBLINGS])
def newer_python(session: nox.Session, package: str) -> None:
    """Test the wheels with newer versions of Python, if installed."""
    test_package(session, package)


@nox.session(requires=["build"])
def integration(session: nox.Session) -> None:
    """Test all wheels together: plugins, command line, documentation, third-party optimizers."""
    optimizers = (
        *("pytorch_optimizer", "schedulefree", "backpack-for-pytorch", "torch-optimizer"),
        *("adam-mini", "ivon-opt", "singd", "sophia-opt", "curvlinops-for-pytorch"),
    )
    tools = ("pytest", "pytest-xdist", "mypy", "ruff", "uv", "jsonschema")
    notebooks = ("nbclient", "ipykernel")
    # The client of MLflow with what its database needs: the extra has its pages, too.
    trackers = ("mlflow-skinny", "sqlalchemy", "alembic", "trackio", "wandb")
    further = (*tools, *notebooks, *trackers, *EXTRAS["deepobs-bench"], *optimizers)
    install_wheels(session, list(SIBLINGS), *further)
    run_tests(session, "tests/integration")


@nox.session(requires=["build"])
def release(session: nox.Session) -> None:
    """Check release metadata, and that every subset of the packages can be installed."""
    session.install(*CONSTRAINTS, "pytest", "ruamel.yaml", "packaging", "uv")
    # On the file system of uv's cache: on another one, every environment would copy torch.
    place = ("--basetemp", str(Path(session.create_tmp()) / "tests"))
    session.run("pytest", "tests/release", *place, *session.posargs)


@nox.session(requires=["build"])
def docs(session: nox.Session) -> None:
    """Build the documentation with the figures of its gallery; warnings are errors."""
    install_wheels(session, list(SIBLINGS), "sphinx", "myst-parser", "furo", "latex2mathml")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build/html", *session.posargs)


@nox.session(requires=["build"])
def quickstart(session: nox.Session) -> None:
    """Benchmark three optimizers on embedded data and print a table."""
    install_wheels(session, list(SIBLINGS))
    session.run("python", "examples/quickstart.py", *session.posargs)


@nox.session(requires=["build"], default=False)
def latex(session: nox.Session) -> None:
    """Compile the tables for papers; needs TeX Live with booktabs and siunitx."""
    if shutil.which("pdflatex") is None:
        session.skip(
            "pdflatex is missing: apt-get install texlive-latex-recommended texlive-science"
        )
    install_wheels(session, ["deepobs-core", "deepobs-bench", "deepobs-analysis"], "pytest")
    session.run("pytest", "tests/analysis/test_latex.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and the import contracts in pyproject.toml."""
    session.install(*CONSTRAINTS, "ruff", "import-linter")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    # import-linter reads the source only, so the packages need not be installed.
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
    """Execute some tests with the oldest declared versions of requirements (gigabytes)."""
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
    # Old releases use features that newer releases of other packages deprecate.
    session.run("pytest", "-W", "ignore::DeprecationWarning", *tests, *session.posargs)


@nox.session(requires=["build"], default=False)
def benchmarks(session: nox.Session) -> None:
    """Compare training steps with hand-written loops, and data pipelines with torchvision's."""
    install_wheels(session, list(SIBLINGS))
    for benchmark in sorted(Path("benchmarks").glob("*.py")):
        session.run("python", str(benchmark))


@nox.session(requires=["build"], default=False)
def reproduction(session: nox.Session) -> None:
    """Train on real data and compare with the published curves (15 minutes)."""
    install_wheels(session, list(SIBLINGS), "pytest")
    session.run("pytest", "-m", "slow", "tests/reproduction", *session.posargs)


@nox.session(requires=["build"], default=False)
def conformance(session: nox.Session) -> None:
    """Execute the conformance checks of the largest networks, and compare their gradients."""
    packages = ["deepobs-core", "deepobs-testing", "deepobs-vision", "deepobs-text"]
    install_wheels(session, packages, "pytest")
    tests = [f"tests/{name}/test_conformance.py" for name in ("vision", "text")]
    tests.append("tests/vision/test_accumulated_gradients.py")
    session.run("pytest", "-m", "slow", *tests, *session.posargs)


@nox.session(requires=["build"], default=False)
def robustness(session: nox.Session) -> None:
    """Kill processes of sweeps at random times, 50 times (30 minutes)."""
    install_wheels(session, list(SIBLINGS), "pytest", *EXTRAS["deepobs-bench"])
    without = ("--ignore", "tests/robustness/test_engines.py")
    session.run("pytest", "-m", "slow", "tests/robustness", *without, *session.posargs)


@nox.session(requires=["build"], default=False)
def engines(session: nox.Session) -> None:
    """Execute a sweep on engines of other packages, and kill a worker of each (30 minutes)."""
    engines = (
        "dask-jobqueue",
        "executorlib",
        "ipyparallel",
        "loky",
        "mpi4py",
        "parsl",
        "pebble",
        "ray",
        "submitit",
    )
    install_wheels(session, ["deepobs-core", "deepobs-bench"], "pytest", *engines)
    session.run("pytest", "-m", "slow", "tests/robustness/test_engines.py", *session.posargs)
