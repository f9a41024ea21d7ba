"""Figures of a report are drawn in forks of the process, where that is safe."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from result_files import write_result

from deepobs_analysis import load
from deepobs_analysis.report import report

if TYPE_CHECKING:
    from pathlib import Path

_FORKS = """
import json, os, sys, threading, time
from deepobs_analysis import forks
from deepobs_analysis.forks import in_forks
from deepobs.errors import ArgumentError
{before}
forks.usable_cores = lambda: 2

def pid(place):
    time.sleep(0.2)
    return place, os.getpid() == here

def wrong():
    raise ArgumentError("This is wrong.")

here = os.getpid()
reader, writer = os.pipe()
try:
    # No further task begins once the block fails.
    with in_forks([lambda: (os.write(writer, b"."), time.sleep(0.1))] * 40):
        raise KeyboardInterrupt
except KeyboardInterrupt:
    os.close(writer)
    assert len(os.read(reader, 40)) < 40
with in_forks([lambda place=place: pid(place) for place in range(4)]) as finish:
    found = finish()
try:
    with in_forks([wrong, wrong]) as finish:
        finish()
except ArgumentError as error:
    print(json.dumps([found, str(error)]))
"""


def forked(before: str) -> list[object]:
    command = [sys.executable, "-c", _FORKS.format(before=before)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found: list[object] = json.loads(done.stdout)
    return found


def test_tasks_are_executed_in_forks_and_errors_are_raised_here() -> None:
    assert forked("") == [[[place, False] for place in range(4)], "This is wrong."]


@pytest.mark.parametrize(
    "before", ["threading.Thread(target=time.sleep, args=(2,)).start()", "import torch"]
)
def test_nothing_is_forked_beside_threads(before: str) -> None:
    assert forked(before) == [[[place, True] for place in range(4)], "This is wrong."]


def test_a_report_is_the_same_whether_forks_draw_it_or_not(tmp_path: Path) -> None:
    for problem in ("quadratic_deep", "digits_mlp"):
        for optimizer in ("SGD", "Adam"):
            for seed, lr in ((1, 0.1), (2, 0.1), (1, 0.01)):
                write_result(
                    tmp_path / "results",
                    problem=problem, optimizer=optimizer, seed=seed, lr=lr,
                    test_losses=[2.0, 1.0 + lr, seed / 10],
                )  # fmt: skip
    script = (
        "from deepobs_analysis import forks, load; from deepobs_analysis.report import report; "
        "import sys; forks.usable_cores = lambda: 2; assert forks._is_safe(); "
        "sys.stdout.write(report(load(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == report(load(tmp_path / "results"))
