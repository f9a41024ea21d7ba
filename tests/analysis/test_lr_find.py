"""`deepobs lr-find`, called as a function: what it prints, draws and refuses."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REQUIRED = """
import torch
class Mine(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr=lr)
"""


def _lr_find(command_line: Callable[..., Any], *words: str) -> tuple[int, str, str]:
    found: tuple[int, str, str] = command_line("lr-find", "quadratic_deep", *words)
    return found


def test_it_says_where_to_search(command_line: Callable[..., Any], tmp_path: Path) -> None:
    code, out, err = _lr_find(command_line, "SGD")
    assert (code, err) == (0, "")
    assert out.startswith("SGD on quadratic_deep, seed 42\n")
    fields = dict(re.findall(r"^(Falls fastest|Lowest|Diverges) +(\S+)$", out, re.MULTILINE))
    assert float(fields["Falls fastest"]) < float(fields["Lowest"]) < float(fields["Diverges"])
    command = shlex.split(out.splitlines()[-1])
    assert command[:4] == ["deepobs", "tune", "quadratic_deep", "SGD"]
    low, high = map(float, command[-1].removeprefix("lr=log:").split(":"))
    assert low < float(fields["Falls fastest"]) < high
    assert list(tmp_path.iterdir()) == []


def test_a_figure_is_written_in_the_format_of_its_name(
    command_line: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "new" / "lr.svg"
    code, out, _ = _lr_find(command_line, "SGD", "--plot", str(file))
    assert code == 0
    assert out.endswith(f"Written to {file}\n")
    text = file.read_text(encoding="utf-8")
    assert "SGD on quadratic_deep" in text
    assert "Diverged at" in text


def test_an_unknown_format_is_refused_before_anything_is_measured(
    command_line: Callable[..., Any],
) -> None:
    code, _, err = command_line("lr-find", "no_problem", "SGD", "--plot", "lr.pgn")
    assert code == 2
    assert "'pgn' is unknown" in err


def test_json_holds_all_steps(command_line: Callable[..., Any]) -> None:
    code, out, _ = _lr_find(command_line, "SGD", "--json", "--max-lr", "1e-3", "--steps", "20")
    measured = json.loads(out)
    assert code == 0
    assert len(measured["lrs"]) == len(measured["objectives"]) == len(measured["smoothed"]) == 20
    assert measured["diverged"] is None
    assert measured["testproblem"] == "quadratic_deep"


def test_json_of_a_test_that_diverged_is_valid(command_line: Callable[..., Any]) -> None:
    _, out, _ = _lr_find(command_line, "SGD", "--json", "--min-lr", "1", "--max-lr", "1e30")
    measured = json.loads(out, parse_constant=pytest.fail)
    assert measured["diverged"] == measured["lrs"][-1]


def test_a_learning_rate_without_default_needs_no_value(
    command_line: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rate_required.py").write_text(REQUIRED)
    monkeypatch.chdir(tmp_path)
    code, out, err = _lr_find(command_line, "rate_required:Mine")
    assert (code, err) == (0, "")
    assert "deepobs tune quadratic_deep rate_required:Mine --space" in out


def test_a_range_in_which_nothing_falls_is_said(command_line: Callable[..., Any]) -> None:
    code, out, _ = _lr_find(command_line, "SGD", "--min-lr", "1e-12", "--max-lr", "1e-10")
    assert code == 0
    assert "falls clearly at none of them" in out


def test_a_range_that_ends_too_early_is_said(command_line: Callable[..., Any]) -> None:
    code, out, _ = _lr_find(command_line, "SGD", "--max-lr", "1e-3")
    assert code == 0
    assert "look further with a larger --max-lr" in out


@pytest.mark.parametrize("option", ["--epochs", "--max-steps", "--evaluate-every"])
def test_options_of_whole_runs_are_not_offered(
    command_line: Callable[..., Any], option: str
) -> None:
    code, _, err = _lr_find(command_line, "SGD", option, "5")
    assert code == 2
    assert "No such option" in err
