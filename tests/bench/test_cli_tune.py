"""`deepobs tune`, called as a function: what it tunes, prints and refuses."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK = ("--epochs", "1", "--report-seeds", "1,2", "--device", "cpu", "--executor", "serial")
GRID = ("--sampler", "grid", "--space", "lr=choice:1e20,0.01,0.001")


@pytest.fixture
def tune(command_line: Callable[..., Any]) -> Callable[..., tuple[int, str, str]]:
    """Calls `deepobs tune quadratic_deep` in an empty directory."""
    return functools.partial(command_line, "tune", "quadratic_deep")


def test_it_ends_with_the_trials_the_winner_and_its_report(
    tune: Callable[..., Any], tmp_path: Path
) -> None:
    code, out, err = tune("SGD", *GRID, *QUICK, "-o", "momentum=0.5", "--out", "here")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("TRIAL"))
    assert "VALID LOSS" in lines[start].replace("\x1b[0m", "")
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["1", "2", "0"]
    assert lines[start + 1].endswith("winner")
    assert lines[start + 3].endswith("diverged")
    assert "Winner: trial 1, lr = 0.01." in lines
    assert any(line.startswith("test loss") and "±" in line for line in lines)
    assert (tmp_path / lines[-1].strip()).is_file()
    assert "none of which took part in the selection" in out


def test_choosing_on_the_test_set_is_said(tune: Callable[..., Any]) -> None:
    _, out, _ = tune("SGD", *GRID, *QUICK, "--select-on", "test")
    assert "SELECTED ON THE TEST SET" in out


def test_the_second_time_it_prints_the_same(tune: Callable[..., Any]) -> None:
    random = ("--space", "lr=log:1e-4:0.1", "--trials", "4", "--seeds", "7..8")
    first = tune("SGD", *random, *QUICK)
    assert first == tune("SGD", *random, *QUICK)
    assert "4 trials of random search, each trained with seeds 7 and 8." in first[1]


def test_it_writes_json_for_other_programs(tune: Callable[..., Any]) -> None:
    _, out, _ = tune("SGD", *GRID, *QUICK, "--json")
    result = json.loads(out)
    assert result["winner"] == 1
    assert result["protocol"]["space"] == {"lr": [1e20, 0.01, 0.001]}


def test_without_a_winner_it_exits_with_1(tune: Callable[..., Any]) -> None:
    code, out, _ = tune("SGD", "--space", "lr=choice:1e20,1e21", "--sampler", "grid", *QUICK)
    assert code == 1
    assert "there is no winner" in out


def test_a_dry_run_says_how_it_would_be_tuned_and_how_long_it_takes(
    tune: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("SGD", "--space", "lr=log:1e-3:0.1", "--trials", "3", *QUICK, "--dry-run")
    code, out, err = tune(*words)
    assert (code, err) == (0, "")
    assert "3 trials of random search" in out
    assert "1 tuning of 5 runs." in out
    assert "They will take about " in out
    assert not list(tmp_path.rglob("random_seed__*"))
    _, out, _ = tune(*words, "--json")
    plan = json.loads(out)
    assert plan["runs_of_tunings"] == 5
    assert 0 < plan["seconds_low"] <= plan["seconds"] <= plan["seconds_high"]
    assert plan["explanation"][0].startswith("3 trials of random search")


def test_where_every_trial_failed_it_exits_with_1_and_gives_the_reason(
    tune: Callable[..., Any], own_optimizers: str
) -> None:
    space = ("--space", "lr=choice:0.1,0.2", "--sampler", "grid", "--needs", "plain")
    code, out, err = tune(f"{own_optimizers}:BrokenStep", *space, *QUICK)
    assert (code, "TRIAL" in out) == (1, False)
    assert "Failed: None of the 2 trials has a result. The first failed with error: Attr" in err
    assert "no_such_buffer" in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Nothing to try"),
        (["--space", "lr"], "'lr' is not NAME=SPACE, such as lr=log:1e-5:1"),
        (["--space", "lr=lgo:1:2"], "Did you mean 'log'?"),
        (["--space", "lr=log:1:2", "--space", "lr=log:1:3"], "is given twice"),
        (["--space", "lrr=log:1:2"], "Did you mean 'lr'?"),
        (["--preset", "papr"], 'preset: must be one of "paper", "crowded-valley"'),
        (["--preset", "paper", "--seeds", "a"], "seeds: must be integers from 0"),
        (["--space", "lr=log:1:2", "--executor", "sirial"], "Did you mean 'serial'?"),
        (["--space", "lr=log:1:2", "--jobs", "0"], "0 is not in the range x>=1"),
    ],
)
def test_a_mistake_exits_with_2_and_leaves_no_file(
    tune: Callable[..., Any], tmp_path: Path, args: list[str], message: str
) -> None:
    code, out, err = tune("SGD", *QUICK, *args)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
