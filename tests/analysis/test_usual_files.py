"""Usual result files are read by a shorter way, with the same outcome as all others."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from deepobs.records import DataSetRecord, RunRecord
from deepobs_analysis import usual_files
from deepobs_analysis.json_values import NoResultError, parsed
from deepobs_analysis.result_formats import run_from
from deepobs_analysis.usual_files import usual_run

if TYPE_CHECKING:
    from deepobs_analysis.result_formats import Run

TOKEN = re.compile(rb'-?\d[\d.eE+-]*|true|false|null|"[^"]*"|[\[\]{},:]')
ODD = (
    *(b"null", b"NaN", b"-Infinity", b"-0", b"0.0", b"1e400", b"-1", b"128.0", b"true", b"[]"),
    *(b"{}", b"12345678901234567890123", b'"\\ud800"', b'"\\u00e4"', b'"\xe4"', b'"\xc3\xa4"'),
    *(b"[" * 300 + b"]" * 300, b'"a\nb"', b'"\\n"', b""),
)


def content(**changed: Any) -> bytes:
    """A file with the result of two epochs, as it is written."""
    fields: dict[str, Any] = {
        "run_id": "986d42c2bed4565b",
        "status": "completed",
        "testproblem": "quadratic_deep",
        "optimizer_name": "SGD",
        "optimizer_target": "torch.optim:SGD",
        "optimizer_hyperparams": {"lr": 0.1, "momentum": 0.9},
        "optimizer_defaults": {"nesterov": False, "dampening": 0},
        "batch_size": 128,
        "num_epochs": 2,
        "random_seed": 42,
        "weight_decay": 0.0,
        "training_params": {"lr_scheduler": None, "train_log_interval": 10},
        "train_losses": [352.0644483438866, 0.1 + 0.2, 5e-324],
        "test_losses": [349.82083550415894, 1e22, 1.0],
        "minibatch_train_losses": [357.82025146484375, None],
        "train_seconds": [0.002679465798838602, 0.0023026329440569383],
        "eval_seconds": [0.01, 0.02, 0.03],
        "steps": 14,
        "steps_per_epoch": 7,
        "gradient_evaluations": 14,
        "fake_data": False,
        "full_evaluation": False,
        "bare_losses": False,
        "dataset": DataSetRecord(name="quadratic", split_sizes={"test": 1000}),
        "dtype": "float32",
        "device": "cpu",
        "hardware": {"cores": 2},
        "versions": {"python": "3.11.7"},
        "command": "deepobs run quadratic_deep SGD --lr 0.1",
        "started_at": "2026-11-29T20:09:19+00:00",
    }
    return RunRecord(**{**fields, **changed}).to_json().encode()


def all_of(run: Run | None) -> str:
    """Everything in a run, its numbers to the last bit."""
    assert run is not None
    *fields, curves = run
    return repr((fields, [each if each is None else each.tobytes() for each in curves]))


def test_every_field_of_records_is_usual_or_known_to_be_unusual() -> None:
    usual = set(usual_files._File.__struct_fields__)
    unusual = {"evaluated_at_steps", "gradient_norms", "iterates", "packed"}
    assert usual | unusual == set(RunRecord.model_fields) and not usual & unusual


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"train_accuracies": [0.1, 0.2, 0.3], "test_accuracies": [0.1, 0.2, 0.25]},
        {"valid_losses": [3, 2, 1], "valid_accuracies": [0.0, 1.0, 0.5]},
        {"status": "diverged", "diverged_at_epoch": 1, "diverged_at_step": 5},
        {"optimizer_hyperparams": {"momentum": 0.9, "learning_rate": 1}, "label": "mine"},
        {"optimizer_source": "1f3c", "optimizer_target": "mine:Mine", "weight_decay": None},
        {"training_params": {"lr_scheduler": {"name": "StepLR", "arguments": {"step_size": 2}}}},
        {"command": 'deepobs run "quoted"', "compile_seconds": 1.5, "resumed_at_steps": [3]},
    ],
)
def test_a_usual_file_is_read_as_by_the_longer_way(changed: dict[str, Any]) -> None:
    for _ in range(2):  # then its description is known
        assert all_of(usual_run(content(**changed))) == all_of(run_from(parsed(content(**changed))))


@pytest.mark.parametrize(
    "changed",
    [
        {"fake_data": True},
        {"schema_version": 2},
        {"train_losses": [None, None, None]},
        {"train_losses": [1.0, 2.0]},
        {"label": "größer"},
        {"packed": 4},
        {"optimizer_hyperparams": {"lr": [[[[[[[[[[1]]]]]]]]]]}},
        {"evaluated_at_steps": [0, 7, 14]},
        {"gradient_norms": [1.0, 2.0]},
    ],
)
def test_an_unusual_file_is_left_to_the_longer_way(changed: dict[str, Any]) -> None:
    assert usual_run(content(**changed)) is None


def test_a_file_that_is_no_result_does_not_hide_the_next_one() -> None:
    usual_files._descriptions.clear()
    assert usual_run(content(test_losses=[1.0])) is None
    assert usual_run(content()) is not None


def test_a_damaged_file_is_never_read_as_what_the_longer_way_refuses() -> None:
    randomness = random.Random(1)  # noqa: S311
    files = [content(), content(test_accuracies=[0.1, 0.2, 0.3], status="diverged")]
    num_read = 0
    for _ in range(3000):
        damaged = randomness.choice(files)
        for _ in range(randomness.choice((1, 1, 2))):
            tokens = list(TOKEN.finditer(damaged))
            place = randomness.choice(tokens)
            other = randomness.choice((*ODD, randomness.choice(tokens)[0]))
            damaged = damaged[: place.start()] + other + damaged[place.end() :]
        run = usual_run(damaged)
        if run is not None:
            num_read += 1
            try:
                expected = run_from(parsed(damaged))
            except NoResultError as error:
                pytest.fail(f"{error}: {damaged!r}")
            assert all_of(run) == all_of(expected), damaged
    assert num_read > 100
