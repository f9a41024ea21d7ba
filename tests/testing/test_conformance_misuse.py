"""Misuse of the checks, and code of others that prints while it is checked."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from deepobs_testing import check_optimizer

if TYPE_CHECKING:
    from pathlib import Path

FORGETFUL = """
import pytest

@pytest.mark.deepobs_checks(optimizers="SGD", only="it_can_be_built")
def test_forgetful(deepobs_check):
    pass

@pytest.mark.deepobs_checks(optimizers="SGD", only="it_can_be_built")
def test_leaves_early(deepobs_check):
    pytest.skip("for another reason")
"""

PRINTS = """
import torch

class Prints(torch.optim.SGD):
    def __init__(self, params, lr=0.1):
        print("built")
        super().__init__(params, lr)
"""


def test_a_test_that_does_not_call_the_fixture_fails(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FORGETFUL, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Nothing was checked: the test must call deepobs_check()." in ended.stdout
    assert "1 failed, 1 skipped" in ended.stdout


def test_one_check_may_be_named_without_a_list() -> None:
    report = check_optimizer("SGD", only="it_can_be_built")
    assert [result.check for result in report.results] == ["it_can_be_built"]


def test_what_others_print_is_not_among_the_json(command_line, tmp_path: Path) -> None:
    source = textwrap.dedent(PRINTS)
    (tmp_path / "printing_optimizer_of_a_test.py").write_text(source, encoding="utf-8")
    name = "printing_optimizer_of_a_test:Prints"
    code, output, errors = command_line("check", name, "--json", "--only", "it_can_be_built")
    (report,) = json.loads(output)
    assert (code, report["passed"]) == (0, True)
    assert "built" in errors


def test_a_hyperparameter_that_it_does_not_know_needs_no_default() -> None:
    report = check_optimizer(
        "SGD", hyperparameters={"lrr": 0.1}, only="it_can_be_built", raise_on_failure=False
    )
    (failure,) = report.failures
    assert "Did you mean 'lr'" in failure.reason
    assert failure.remedy == ""


def test_a_class_named_with_a_dot_is_explained(command_line) -> None:
    code, _, errors = command_line("check", "torch.optim.SGD")
    assert code == 2
    assert "as package.module:Class" in " ".join(errors.split())
