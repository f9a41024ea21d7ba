"""`deepobs estimate`, called as a function: what it prints, measures and refuses."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deepobs.cli.main import main
from deepobs.console.text import duration, memory
from deepobs.runs import mode_comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def estimate(command_line: Callable[..., Any]) -> Callable[..., tuple[int, str, str]]:
    """Calls `deepobs estimate quadratic_deep` in an empty directory, for as short as possible."""
    return functools.partial(command_line, "estimate", "quadratic_deep", "--seconds", "0")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are slow where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _fields(out: str) -> dict[str, str]:
    """The names and values below the empty line."""
    _, _, lines = out.partition("\n\n")
    return dict(re.split(r"  +", line, maxsplit=1) for line in lines.splitlines())


def test_everything_is_said_in_a_few_lines(estimate: Callable[..., Any], tmp_path: Path) -> None:
    code, out, err = estimate("Adam", "--lr", "0.01", "--epochs", "20", "--batch-size", "100")
    assert (code, err) == (0, "")
    assert "Adam on quadratic_deep" in out.splitlines()[0]
    assert re.search(r"Measured over \d+ steps on cpu \(.+\), \d+ CPU threads?\.", out)
    fields = _fields(out)
    assert fields["Hyperparameters"] == "lr = 0.01"
    assert fields["Batch size"] == "100"
    assert re.fullmatch(r"[\d.]+ ms \(quartiles [\d.]+ ms to [\d.]+ ms\)", fields["Step"])
    assert re.match(r"[\d.]+ times a step of SGD \(quartiles ", fields["Overhead"])
    assert fields["Gradients"] == "1 per step"
    assert fields["Epoch"].endswith(": 10 steps and an evaluation")
    assert ": 20 epochs, an initial evaluation and " in fields["Full run"]
    assert re.match(r"[\d.]+ [MG]iB for the whole process", fields["Peak memory"])
    assert list(tmp_path.iterdir()) == []


def test_the_steps_and_evaluations_of_a_run_are_counted(estimate: Callable[..., Any]) -> None:
    words = ["SGD", "--batch-size", "125", "--max-steps", "20", "--evaluate-every", "6steps"]
    _, out, _ = estimate(*words, "--lr", "0.01")
    assert ": 20 steps in 3 epochs, 5 evaluations and " in _fields(out)["Full run"]


def test_whether_a_pack_pays_is_said(estimate: Callable[..., Any]) -> None:
    _, out, _ = estimate("SGD", "--lr", "0.01", "--pack", "8")
    assert re.match(
        r"it (pays|does not pay): .+ a run, .+ alone \(without setup\), [\d.]+ times as fast",
        _fields(out)["Pack of 8"],
    )
    _, out, _ = estimate("LBFGS", "--pack", "8", "--json")
    pack = json.loads(out)["pack"]
    assert (pack["size"], pack["ratio"]) == (8, 0.0)
    assert "closure" in pack["reason"]


def test_sgd_and_divergence_are_named(estimate: Callable[..., Any]) -> None:
    _, out, _ = estimate("SGD", "--lr", "1e30")
    assert _fields(out)["Overhead"] == "none, this is SGD"
    assert "Training diverged" in out
    assert "synthetic" not in out


def test_json_holds_the_run_and_all_that_was_measured(estimate: Callable[..., Any]) -> None:
    code, out, _ = estimate("LBFGS", "-o", "max_iter=3", "--validation-size", "200", "--json")
    assert code == 0
    said = json.loads(out)
    assert (said["testproblem"], said["optimizer"]) == ("quadratic_deep", "LBFGS")
    assert said["hyperparameters"]["max_iter"] == 3
    assert said["steps_per_epoch"] == 800 // 128
    assert 1 <= said["gradient_evaluations_per_step"] <= 3
    epoch = said["steps_per_epoch"] * said["step_seconds"]["mean"] + said["evaluation_seconds"]
    assert said["epoch_seconds"] == pytest.approx(epoch)
    run = said["set_up_seconds"] + said["evaluation_seconds"] + said["num_epochs"] * epoch
    assert said["run_seconds"] == pytest.approx(run)
    assert {"sgd_ratio", "sgd_step_seconds", "is_sgd", "peak_memory", "has_diverged"} < set(said)


def test_an_optimizer_of_the_current_directory_is_measured(
    estimate: Callable[..., Any], own_optimizers: str
) -> None:
    code, out, _ = estimate(f"{own_optimizers}:Working", "--lr", "0.01")
    assert code == 0
    assert "Working on quadratic_deep" in out
    assert " times a step of SGD " in _fields(out)["Overhead"]


def test_an_optimizer_that_fails_is_shown_where_it_fails(
    estimate: Callable[..., Any], own_optimizers: str
) -> None:
    code, _, err = estimate(f"{own_optimizers}:BrokenStep", "--lr", "0.01")
    assert code == 1
    traceback, message = err.split("\nError: ")
    assert traceback.count("  File ") == 1
    assert f'{own_optimizers}.py", line 9, in step' in traceback
    assert "on quadratic_deep failed: AttributeError: " in message


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["SGD", "-o", "momentum"], "'momentum' is not NAME=VALUE"),
        (["SGD", "-o", "momntum=0.9"], "Did you mean 'momentum'?"),
        (["SGD", "--lr", "nan"], "must be finite"),
        (["SGD", "--epochs", "-1"], "must be 0 or more, got -1"),
        (["SGD", "--batch-size", "5000"], "from 1 to 1000"),
        (["SGD", "--weight-decay", "0.1"], "has no regularizer"),
        (["SGD", "--device", "banana"], "'banana'"),
        (["SGD", "--seconds", "-1"], "seconds must be a finite number, 0 or more; got -1.0"),
        (["SGD", "--seconds", "inf"], "seconds must be a finite number"),
        (["SGD", "--fake-data", "2"], "fake_data must be from 0 to 1"),
        (["SGD", "--out", "here"], "No such option '--out'"),
        (["Adm"], "Did you mean 'Adam'"),
        (["nowhere_at_all:Adam"], "No module named 'nowhere_at_all'"),
    ],
)
def test_a_mistake_exits_with_2_and_one_message(
    estimate: Callable[..., Any], args: list[str], message: str
) -> None:
    code, out, err = estimate(*args)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_help_is_shown_without_torch() -> None:
    program = (
        "import sys; from deepobs.cli.main import main; code = main(['estimate', '--help']);"
        "sys.exit('torch was imported' if 'torch' in sys.modules else code)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert "\n    deepobs estimate quadratic_deep Adam\n" in process.stdout


def test_an_unknown_problem_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "quadratic_dep", "SGD"]) == 2
    assert "Did you mean 'quadratic_deep'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 ms"),
        (0.000213, "0.213 ms"),
        (0.0041, "4.10 ms"),
        (0.0999, "99.9 ms"),
        (0.0999999, "100 ms"),
        (0.999, "999 ms"),
        (0.9999, "1.00 s"),
        (4.126, "4.13 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min"),
        (61, "1 min 1 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h"),
        (7980, "2 h 13 min"),
        (86399, "1 d"),
        (100000, "1 d 4 h"),
        (864000, "10 d"),
    ],
)
def test_durations_are_written_as_people_write_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1536, "1.50 KiB"),
        (2**20, "1.00 MiB"),
        (700 * 2**20, "700 MiB"),
        (3 * 2**29, "1.50 GiB"),
        (2**50, "1048576 GiB"),
    ],
)
def test_sizes_are_written_as_people_write_them(num_bytes: int, text: str) -> None:
    assert memory(num_bytes) == text


def test_modes_are_compared_and_those_that_do_not_work_say_why(
    estimate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the compiler, which takes long.
    monkeypatch.delitem(mode_comparison.MODES, "compile")
    code, out, _ = estimate("Adam", "--compare-modes", "--json")
    assert code == 0
    times = {one["mode"]: one for one in json.loads(out)}
    assert set(times) == {"plain", "bf16", "channels-last"}
    assert times["plain"]["speed"]["median"] == 1
    assert times["bf16"]["step_seconds"]["median"] > 0
    assert times["channels-last"]["step_seconds"] is None
    code, out, _ = estimate("Adam", "--compare-modes")
    assert code == 0
    assert re.search(r"^plain +[\d.]+ \S+ +1\.00 \(1\.00 to 1\.00\)", out, re.MULTILINE)
    assert "no convolution of images" in " ".join(out.split())
