"""`deepobs run`, called as a function: what it trains, skips, prints and refuses."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def run(command_line: Callable[..., Any]) -> Callable[..., tuple[int, str, str]]:
    """Calls `deepobs run quadratic_deep` in an empty directory."""
    return functools.partial(command_line, "run", "quadratic_deep")


def _results(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(directory.rglob("*.json"))]


def test_a_repeated_command_answers_without_torch(run: Callable[..., Any], tmp_path: Path) -> None:
    words = ["SGD", "--lr", "0.01", "--epochs", "1"]
    _, first, _ = run(*words)
    script = (
        "import sys; from deepobs.cli.main import main; "
        f"main(['run', 'quadratic_deep', *{words}]); assert 'torch' not in sys.modules"
    )
    again = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == f"Result already exists; use --overwrite to rerun.\n{first}"


def test_a_repeated_command_answers_with_the_latest_result(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["SGD", "--lr", "0.01", "--epochs", "1"]
    run(*words)
    _, overwritten, _ = run(*words, "--overwrite")
    assert run(*words)[1].endswith(overwritten)
    latest = max((tmp_path / "results").rglob("*.json"))
    record = json.loads(latest.read_text())
    record["test_losses"][-1] = 1234.5
    latest.write_text(json.dumps(record))
    assert "test loss 1234.5" in run(*words)[1]
    for path in (tmp_path / "results").rglob("*.json"):
        path.unlink()
    assert "already exists" not in run(*words)[1]


def test_a_repeated_command_does_not_answer_with_a_result_that_is_gone(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["SGD", "--lr", "0.01", "--epochs", "1"]
    run(*words)
    (own,) = (tmp_path / "results").rglob("*.json")
    # A later result of another run in the same directory, such as by another version.
    record = json.loads(own.read_text())
    record["run_id"] = "0123456789abcdef"
    own.with_name("random_seed__42__2999-01-01-00-00-00-000000.json").write_text(
        json.dumps(record, indent=1)
    )
    assert "already exists" in run(*words, "--log-interval", "10")[1]
    own.unlink()
    assert "already exists" not in run(*words, "--log-interval", "10")[1]


def test_the_help_has_an_example_a_line(run: Callable[..., Any]) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "\n    deepobs run quadratic_deep SGD --lr 0.01\n" in out
    assert "\\b" not in out


def test_the_options_are_in_the_result_file(run: Callable[..., Any], tmp_path: Path) -> None:
    code, out, err = run(
        *("SGD", "--lr", "0.01", "-o", "momentum=0.5", "-o", "nesterov=true", "--epochs", "2"),
        *("--lr-schedule", "1:0.1", "--batch-size", "100", "--seed", "7", "--out", "here"),
    )
    assert (code, err) == (0, "")
    (result,) = _results(tmp_path / "here")
    assert result["optimizer_hyperparams"] == {"lr": 0.01, "momentum": 0.5, "nesterov": True}
    assert (result["batch_size"], result["num_epochs"], result["random_seed"]) == (100, 2, 7)
    assert result["training_params"]["lr_sched_epochs"] == [1]
    assert result["training_params"]["lr_sched_factors"] == [0.1]
    assert len(result["test_losses"]) == 3
    summary, path = out.splitlines()
    assert summary.startswith("SGD on quadratic_deep, seed 7: after 2 epochs test loss ")
    assert (tmp_path / path.strip()).is_file()


def test_every_seed_is_a_run_and_one_that_is_there_is_skipped(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    assert run("SGD", "--epochs", "1", "--seed", "1")[0] == 0
    (first,) = (tmp_path / "results").rglob("*.json")
    _, out, _ = run("SGD", "--epochs", "1", "--seed", "1", "--seed", "2")
    assert out.count("Result already exists") == 1
    assert first.name in out
    seeds = [result["random_seed"] for result in _results(tmp_path / "results")]
    assert seeds == [1, 2]


def test_overwrite_reruns_with_the_same_numbers(run: Callable[..., Any], tmp_path: Path) -> None:
    run("SGD", "--epochs", "1")
    _, out, _ = run("SGD", "--epochs", "1", "--overwrite")
    assert "already exists" not in out
    first, second = _results(tmp_path / "results")
    assert first["test_losses"] == second["test_losses"]


def test_a_run_that_diverges_says_when(run: Callable[..., Any]) -> None:
    code, out, _ = run("SGD", "--lr", "1e30", "--epochs", "2")
    assert code == 0
    assert re.match(r"SGD on quadratic_deep, seed 42: diverged in epoch 1 \(", out)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["SGD", "-o", "momentum"], "'momentum' is not NAME=VALUE"),
        (["SGD", "-o", "=1"], "'=1' is not NAME=VALUE"),
        (["SGD", "-o", "lr=0.1", "--lr", "0.2"], "'lr' is given twice, as 0.2 and 0.1"),
        (["SGD", "-o", "momntum=0.9"], "Did you mean 'momentum'?"),
        (["SGD", "--lr", "nan"], "must be finite"),
        (["SGD", "--lr-schedule", "10"], "'10' is not EPOCH:FACTOR"),
        (["SGD", "--lr-schedule", "1.5:0.1"], "'1.5:0.1' is not EPOCH:FACTOR"),
        (["SGD", "--lr-schedule", "5:0.1", "--lr-schedule", "2:0.1"], "must increase"),
        (["SGD", "--epochs", "-1"], "must be 0 or more, got -1"),
        (["SGD", "--batch-size", "5000"], "from 1 to 1000"),
        (["SGD", "--device", "banana"], "'banana'"),
        (["Adm"], "Did you mean 'Adam'"),
        (["nowhere_at_all:Adam"], "No module named 'nowhere_at_all'"),
    ],
)
def test_a_mistake_exits_with_2_and_leaves_no_file(
    run: Callable[..., Any], tmp_path: Path, args: list[str], message: str
) -> None:
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not _results(tmp_path)


def test_an_output_directory_that_is_a_file_is_refused(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "taken").touch()
    code, _, err = run("SGD", "--out", "taken")
    assert code == 2
    assert "'taken' is a file" in err


def test_an_optimizer_of_the_current_directory_is_found(
    run: Callable[..., Any], own_optimizers: str, tmp_path: Path
) -> None:
    path_before = list(sys.path)
    code, out, _ = run(f"{own_optimizers}:Working", "--lr", "0.01", "--epochs", "1")
    assert code == 0
    assert out.startswith("Working on quadratic_deep, seed 42: after 1 epoch test loss ")
    assert _results(tmp_path)[0]["optimizer_target"] == f"{own_optimizers}:Working"
    assert sys.path == path_before


def test_an_optimizer_that_fails_is_shown_where_it_fails(
    run: Callable[..., Any], own_optimizers: str, tmp_path: Path
) -> None:
    code, _, err = run(f"{own_optimizers}:BrokenStep", "--lr", "0.01")
    assert code == 1
    traceback, message = err.split("\nError: ")
    assert traceback.count("  File ") == 1
    assert f'{own_optimizers}.py", line 9, in step' in traceback
    assert "on quadratic_deep failed: AttributeError: " in message
    assert "no_such_buffer" in message
    assert not _results(tmp_path)


def test_a_class_that_is_no_optimizer_is_refused(
    run: Callable[..., Any], own_optimizers: str
) -> None:
    code, _, err = run(f"{own_optimizers}:NoOptimizer")
    assert code == 2
    assert "must be a subclass of torch.optim.Optimizer" in err


def test_an_optimizer_with_groups_and_a_scheduler_is_trained(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    code, _, err = run(
        *("Adam", "--group", "hidden", "--group", "others:optimizer=SGD"),
        *("--group", "others:lr=0.1", "--needs", "plain", "--epochs", "1"),
        *("--lr-scheduler", "CosineAnnealingLR", "--lr-scheduler-option", "T_max=num_steps"),
        *("--lr-scheduler-interval", "step"),
    )
    assert (code, err) == (0, "")
    (result,) = _results(tmp_path)
    assert result["parameter_groups"] == {"hidden": {}, "others": {"optimizer": "SGD", "lr": 0.1}}
    assert result["optimizer_needs"] == []  # as it is found to be
    assert result["training_params"]["lr_scheduler"] == {
        "name": "CosineAnnealingLR",
        "arguments": {"T_max": "num_steps"},
        "every": "step",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--group", "hidden:lr"], "'--group'"),
        (["--group", "head:lr=1", "--group", "head:lr=2"], "given twice, as 1 and 2"),
        (["--lr-scheduler-option", "gamma=1"], "add --lr-scheduler NAME"),
        (["--lr-scheduler", "StepLR", "--lr-scheduler-option", "3"], "'--lr-scheduler-option'"),
        (["--needs", "closur"], "Did you mean 'closure'"),
    ],
)
def test_a_slip_in_what_an_optimizer_needs_is_explained(
    run: Callable[..., Any], words: list[str], message: str
) -> None:
    code, _, err = run("SGD", *words)
    assert code == 2 or code == 1
    assert message in " ".join(err.split())


def test_checkpoints_are_kept_meanwhile_and_gone_afterwards(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, _, err = run("SGD", "--epochs", "2", "--checkpoint-every", "1epoch", "--resume")
    assert (code, err) == (0, "")
    assert len(_results(tmp_path)) == 1
    assert list(tmp_path.rglob(".*.checkpoint")) == []


@pytest.mark.parametrize("rhythm", ["10", "min", "0s", "-1min", "2.5epochs", "3 weeks", "0epochs"])
def test_a_rhythm_that_is_none_is_refused(run: Callable[..., Any], rhythm: str) -> None:
    code, _, err = run("SGD", "--checkpoint-every", rhythm)
    assert code == 2
    assert f"'{rhythm}' is neither a duration" in err
    assert "10min" in err


def test_options_of_steps_are_recorded_and_repeated_by_the_command(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["--accumulate", "2", "--clip-norm", "5", "--precision", "bf16"]
    code, _, err = run("SGD", "--lr", "0.01", "--epochs", "1", *words)
    assert (code, err) == (0, "")
    (record,) = _results(tmp_path / "results")
    options = {"accumulate": 2, "clip_norm": 5.0, "precision": "bf16"}
    assert options.items() <= record["training_params"].items()
    assert len(record["gradient_norms"]) == len(record["minibatch_train_losses"])
    for option in ("--precision bf16", "--accumulate 2", "--clip-norm 5.0"):
        assert option in record["command"]
    again = record["command"].split()[3:]
    assert "already exists" in run(*again)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--accumulate", "129"], "accumulate must be from 1 to 128"),
        (["--channels-last"], "no convolution of images"),
        (["--compile", "fast"], "'fast' is not one of 'default'"),
        (["--precision", "fp16", "--dtype", "float64"], "but the dtype is float64"),
        (["--clip-norm", "1", "--needs", "create_graph"], "it differentiates the gradients"),
    ],
)
def test_options_of_steps_that_do_not_work_say_why(
    run: Callable[..., Any], words: list[str], message: str
) -> None:
    code, out, err = run("SGD", "--lr", "0.01", "--epochs", "1", *words)
    assert code != 0
    assert out == ""
    assert message in " ".join(err.split())
    assert "Traceback" not in err
