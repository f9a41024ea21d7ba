"""A newcomer reads docs/tutorials/new_problem.md in an empty virtual environment, and it works.

The blocks of the page are executed unchanged, from top to bottom, in one shell and one empty
directory. Nothing is installed there but what the page installs: our packages from the built
wheels, the others as everywhere in these tests. uv executes `pip`, which takes seconds.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import documents
import pytest
from installed_packages import CONSTRAINTS, ROOT, uv, variables_of_others

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "tutorials" / "new_problem.md"
WHEELS = sorted((ROOT / "dist").glob("*.whl"))
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")

pytestmark = pytest.mark.skipif(not WHEELS, reason="nothing is built: run `nox -s integration`")


class Reading(NamedTuple):
    """What came of following the page.

    Attributes:
        directory: Where it was followed.
        transcript: Commands and what they printed.
    """

    directory: Path
    transcript: str


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    """Follow the page once."""
    tools = tmp_path_factory.mktemp("tools")
    directory = tmp_path_factory.mktemp("newcomer")
    finished = subprocess.run(
        ["/bin/bash", "-c", script(documents.blocks(PAGE.read_text("utf-8")))],
        cwd=directory,
        env=environment(tools),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    return Reading(directory, finished.stdout)


def script(blocks: list[documents.Block]) -> str:
    """What a reader of the page types, as one script that ends at the first failure."""
    parts = ["set -e", 'pip() { uv pip "$@"; }']
    for block in blocks:
        assert block.reason is None, "a newcomer does everything that this page says"
        if block.file is not None:
            parts.append(f"cat > {shlex.quote(block.file)} {document(block.code)}")
        elif block.language == "bash":
            commands = block.code.splitlines(keepends=True)
            parts += [f"cat {document(f'$ {command}')}\n{command}" for command in commands]
        else:
            assert block.language == "text", f"line {block.line}: code is saved or typed here"
    return "\n".join(parts)


def document(text: str) -> str:
    """What follows a command of bash that reads a text."""
    return f"<< 'END OF DOCUMENT'\n{text}END OF DOCUMENT"


def environment(tools: Path) -> dict[str, str]:
    """The variables of a shell that knows Python, uv and the system, but nothing of ours.

    Args:
        tools: An empty directory for these commands.
    """
    for name, program in (("python3", sys._base_executable), ("uv", uv())):
        command = tools / name
        command.write_text(f'#!/bin/sh\nexec "{program}" "$@"\n', encoding="utf-8")
        command.chmod(0o755)
    wheels = tools / "wheels.txt"
    lines = (f"{path.name.split('-')[0]} @ {path.as_uri()}\n" for path in WHEELS)
    wheels.write_text("".join(lines), encoding="utf-8")
    return variables_of_others() | {
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin",
        "UV_CONSTRAINT": f"{CONSTRAINTS} {wheels}",
        "UV_BUILD_CONSTRAINT": str(CONSTRAINTS),
        "UV_NO_PROGRESS": "1",
        "OMP_NUM_THREADS": "1",
    }


def test_what_the_page_shows_is_printed(reading: Reading) -> None:
    shown = [
        block for block in documents.blocks(PAGE.read_text("utf-8")) if block.language == "text"
    ]
    assert len(shown) > 5
    for block in shown:
        for line in filter(str.strip, block.code.splitlines()):
            assert pattern(line).search(reading.transcript), f"{line!r}\n\n{reading.transcript}"


def pattern(line: str) -> re.Pattern[str]:
    """Finds a line with other numbers and other spaces between the words."""
    words = _NUMBER.sub("0", line).split()
    patterns = (re.escape(word).replace("0", _NUMBER.pattern) for word in words)
    return re.compile(r"\s+".join(patterns))


def test_the_checks_and_the_tests_of_the_package_pass(reading: Reading) -> None:
    (checks,) = re.findall(r"checks: (\d+) passed, 0 failed", reading.transcript)
    (tests,) = re.findall(r"^(\d+) passed.* in .*s", reading.transcript, re.MULTILINE)
    assert int(tests) == int(checks) + 2  # the two of the page
    assert int(checks) > 50


def test_the_benchmark_leaves_results_and_a_report_that_names_the_problem(reading: Reading) -> None:
    results = reading.directory / "results"
    assert len(list((results / "waves_conv").rglob("*.json"))) == 2 * 3 * 3
    report = (reading.directory / "report.html").read_text("utf-8")
    for name in ("waves_conv", "Adam", "SGD"):
        assert name in report


def test_nothing_is_installed_but_what_the_page_installs(reading: Reading) -> None:
    (installed,) = (reading.directory / ".venv" / "lib").glob("python3.*/site-packages")
    assert (installed / "deepobs" / "__init__.py").is_file()
    assert not (installed / "deepobs_vision").exists()
