"""Ctrl-C in a real terminal: the bar is gone, and what is said stands in order."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from terminals import interrupted_in_terminal, lines_on_screen

if TYPE_CHECKING:
    from pathlib import Path

EXPERIMENT = """
problems = ["quadratic_deep"]
seeds = "1..40"
defaults.epochs = 100000
[optimizers.SGD]
hyperparameters.lr = 0.001
"""
LONG = ("quadratic_deep", "SGD", "--epochs", "100000", "--device", "cpu")
KEPT = "Results so far are kept: repeat the command to continue."
WITH_RESUME = "Results so far are kept: repeat the command with --resume to continue."


@pytest.mark.parametrize(
    ("command", "moment", "last_lines"),
    [
        (("run", *LONG, "--lr", "0.001"), "test loss", []),
        (
            ("run", *LONG, "--lr", "0.001", "--checkpoint-every", "1epoch"),
            # Not the third epoch itself: the bar skips some on a fast machine.
            r" ([3-9]|\d\d+)/100000",
            ["There is a checkpoint: repeat the command with --resume to continue this run."],
        ),
        (("bench", "experiment.toml", "--no-estimate"), "0/40.*1 running", [KEPT]),
        (
            ("bench", "experiment.toml", "--no-estimate", "--checkpoint-every", "1epoch"),
            "0/40.*1 running",
            [WITH_RESUME],
        ),
        (
            ("tune", *LONG, "--space", "lr=choice:1e30,0.001", "--sampler", "grid"),
            "diverged",
            [KEPT],
        ),
    ],
    ids=["run", "run with checkpoints", "bench", "bench with checkpoints", "tune"],
)
def test_the_first_ctrl_c_leaves_no_bar_and_says_in_order_what_remains(
    tmp_path: Path, command: tuple[str, ...], moment: str, last_lines: list[str]
) -> None:
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    code, written = interrupted_in_terminal(
        [sys.executable, "-m", "deepobs", *command],
        tmp_path,
        after=moment,
        variables={"DEEPOBS_CACHE_DIR": str(tmp_path / "cache")},
    )
    lines = lines_on_screen(written)
    assert code == 130
    expected = ["Interrupted: stopped by the keyboard.", *last_lines, ""]
    assert lines[-len(expected) :] == expected
    # What was shown before is complete: neither a rest of a bar nor an empty line is between.
    ordinary = ("kept in results.", "write a last checkpoint ...")
    before = [line for line in lines[: -len(expected)] if not line.endswith(ordinary)]
    assert all("diverged" in line for line in before), lines
    assert "^C" not in "".join(lines)
    assert written.rfind("\x1b[?25h") >= written.rfind("\x1b[?25l"), "the cursor is hidden"
