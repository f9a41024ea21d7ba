"""What type checkers and editors see of the facade is what the packages offer."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deepobs.errors import PluginError

if TYPE_CHECKING:
    from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[2]
USE = """
from deepobs.pytorch import datasets, runners, testproblems
from deepobs.pytorch.testproblems import mnist_mlp

problem = testproblems.mnist_mlp(batch_size=128, weight_decay=None, device="cpu")
problem.set_up()
reveal_type(problem)
reveal_type(mnist_mlp)
reveal_type(testproblems.two_d_beale)
reveal_type(testproblems.acme_mlp(128, None, "cpu"))
reveal_type(datasets.acme(128, validation_size=10).test_loader)
reveal_type(runners.StandardRunner)

testproblems.quadratic_deep(batch_size="many")
testproblems.acme_mlp()
"""
WRONG = [
    'Argument "batch_size" to "quadratic_deep" has incompatible type "str"; expected "int"',
    'Missing positional argument "batch_size" in call to "TestProblem"',
]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """The tool that writes the stubs."""
    spec = importlib.util.spec_from_file_location(
        "generate_facade", REPOSITORY / "tools" / "generate_facade.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated(generator: ModuleType) -> dict[Path, str]:
    """What it writes, by path in the repository."""
    try:
        found: dict[Path, str] = generator.generated(generator.first_party_registry())
    except PluginError as error:
        pytest.skip(f"not all packages of this repository are installed: {error}")
    return found


def test_the_generated_files_are_up_to_date(generated: dict[Path, str]) -> None:
    assert len(generated) == 4
    for path, text in generated.items():
        written = (REPOSITORY / path).read_text(encoding="utf-8")
        assert written == text, f"{path} is out of date: run `python tools/generate_facade.py`"


def test_the_generated_files_are_well_formed(generated: dict[Path, str]) -> None:
    if shutil.which("ruff") is None:
        pytest.skip("ruff is not installed here")
    for path, text in generated.items():
        for command in (["check"], ["format", "--check"]):
            completed = subprocess.run(
                ["ruff", *command, "--stdin-filename", str(REPOSITORY / path), "-"],  # noqa: S607
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
            assert completed.returncode == 0, completed.stdout + completed.stderr


def test_every_name_has_its_class_in_the_stub(generated: dict[Path, str]) -> None:
    from deepobs.pytorch import testproblems

    (stub,) = [text for path, text in generated.items() if "testproblems" in path.parts]
    assert "class mnist_mlp(deepobs_vision.classification.ImageClassification):" in stub
    for name in dir(testproblems):
        base = getattr(testproblems, name).__mro__[1]
        assert f"class {name}({base.__module__}.{base.__qualname__}):" in stub


# How type checkers read it


def checked(tmp_path: Path, *, missing: str) -> tuple[list[str], list[str]]:
    """The types that mypy reveals, and what it complains about.

    `missing` is as good as not installed; so is torch, because reading it takes half a minute.
    """
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(USE, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\nstrict = True\n[mypy-{missing}.*,torch.*]\nfollow_imports = skip\n",
        encoding="utf-8",
    )
    completed = subprocess.run(
        [sys.executable, "-m", "mypy", "user.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = completed.stdout.splitlines()
    revealed = [line.split('type is "')[1].rstrip('"') for line in lines if "type is" in line]
    return revealed, [line for line in lines if "error:" in line]


def test_a_type_checker_knows_the_exact_class_and_its_arguments(tmp_path: Path) -> None:
    revealed, errors = checked(tmp_path, missing="torch")
    problem, mnist_mlp, two_d_beale, acme_mlp, loader, runner = revealed
    assert problem == "deepobs.pytorch.testproblems.mnist_mlp"
    for constructor in (mnist_mlp, two_d_beale):
        assert "(batch_size: int, weight_decay: float | None =, device:" in constructor
    assert acme_mlp == "deepobs.protocols.TestProblem"
    assert loader == "deepobs.protocols.Loader"
    assert runner.endswith("-> deepobs.runs.runner.StandardRunner")
    assert [message in line for message, line in zip(WRONG, errors, strict=True)] == [True, True]


def test_a_type_checker_says_nothing_where_a_package_is_missing(tmp_path: Path) -> None:
    revealed, errors = checked(tmp_path, missing="deepobs_vision")
    assert revealed[0] == "deepobs.pytorch.testproblems.mnist_mlp"
    assert [message in line for message, line in zip(WRONG, errors, strict=True)] == [True, True]
