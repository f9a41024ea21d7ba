"""Reading result files of all versions into one table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from result_files import write_failure, write_result

from deepobs.errors import DeepOBSError
from deepobs_analysis import load, result_files, result_formats
from deepobs_analysis.results import CURVES, Results
from deepobs_analysis.run_table import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture
def results_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "results"
    directory.mkdir()
    return directory


def only_run(results: Results) -> Any:
    assert len(results.runs) == 1, results.skipped
    return next(results.runs.itertuples())


def reasons(results: Results) -> dict[str, str]:
    return {each.file.rpartition("/")[2]: each.reason for each in results.skipped}


def test_a_run_of_ours_is_read_with_all_that_its_file_says(results_dir: Path) -> None:
    path = write_result(
        results_dir, lr=0.1, seed=7, test_losses=[2.0, 1.0, 0.5], train_losses=[3.0, 2.0, 1.0]
    )
    run = only_run(load(results_dir))
    assert (run.file, run.format, run.is_reference) == (str(path), "own", False)
    assert (run.problem, run.optimizer, run.configuration) == ("quadratic_deep", "SGD", "lr = 0.1")
    assert (run.hyperparameters, run.schedule) == ({"lr": 0.1}, "")
    assert (run.seed, run.batch_size, run.num_epochs) == (7, 128, 2)
    assert not run.has_diverged and run.diverged_at_epoch is pd.NA
    assert run.test_losses.tolist() == [2.0, 1.0, 0.5]
    assert run.train_losses.tolist() == [3.0, 2.0, 1.0]
    assert run.train_seconds.tolist() == [0.5, 0.5]
    assert run.valid_losses is None and run.test_accuracies is None
    assert (run.steps, run.gradient_evaluations, run.steps_per_epoch) == (14, 14, 7.0)
    assert (run.device, run.versions["torch"]) == ("cpu", "2.14.1")
    assert run.command == "deepobs run quadratic_deep SGD"
    assert run.started_at == "2026-01-02T03:04:05+00:00"


def test_times_of_runs_that_were_trained_together_are_not_measures(results_dir: Path) -> None:
    for rate in (0.1, 0.2, 0.3):
        write_result(results_dir, lr=rate, train_seconds=[0.5, 0.5], packed=3)
    write_result(results_dir, lr=0.4, train_seconds=[0.5, 0.5])
    seconds = load(results_dir).runs.train_seconds
    assert [None if one is None else one.tolist() for one in seconds] == [None] * 3 + [[0.5, 0.5]]


def test_a_run_that_was_really_carried_out_is_read(results_dir: Path) -> None:
    from deepobs.runs import run, specify

    specification = specify("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=1, device="cpu")
    record = run(specification, output_dir=results_dir).record
    read = only_run(load(results_dir))
    assert read.test_losses.tolist() == record.test_losses
    assert (read.steps, read.steps_per_epoch) == (7, 7.0)
    assert read.weight_decay == record.weight_decay
    assert read.command == record.command


def test_the_newest_layout_of_ours_is_understood() -> None:
    from deepobs.records import SCHEMA_VERSION
    from deepobs_analysis.result_formats import NEWEST_SCHEMA

    assert NEWEST_SCHEMA == SCHEMA_VERSION


def test_every_column_is_there_and_of_its_type_even_without_runs(results_dir: Path) -> None:
    empty = load(results_dir)
    assert (empty.problems, empty.optimizers, empty.skipped) == ([], [], ())
    write_result(results_dir)
    full = load(results_dir)
    assert tuple(full.runs.columns) == COLUMNS
    assert full.runs.dtypes.equals(empty.runs.dtypes)
    types = full.runs.dtypes
    assert types["seed"] == np.int64 and types["steps"] == pd.Int64Dtype()
    assert types["weight_decay"] == np.float64 and types["has_diverged"] == np.bool_


def test_a_missing_path_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DeepOBSError, match=r"no results at .*nowhere"):
        load(tmp_path / "nowhere")


def test_one_file_is_read_alone(results_dir: Path) -> None:
    path = write_result(results_dir, seed=1)
    write_result(results_dir, seed=2)
    assert only_run(load(path)).file == str(path)
    path.write_text("{")
    assert reasons(load(path))[path.name].startswith("it is broken")


@pytest.mark.parametrize(
    ("layout", "in_the_file", "name"),
    [
        ("1.1", "GradientDescentOptimizer", "SGD"),
        ("1.1", "MomentumOptimizer", "Momentum"),
        ("1.1", "AdamOptimizer", "Adam"),
        ("1.1", "RMSPropOptimizer", "RMSProp"),
        ("1.2", "AdamOptimizer", "Adam"),
        ("1.2", "SGD", "SGD"),
        ("own", "MyOptimizer", "MyOptimizer"),
    ],
)
def test_optimizers_of_tensorflow_have_the_names_of_today(
    layout: Any, in_the_file: str, name: str, results_dir: Path
) -> None:
    write_result(results_dir, layout=layout, optimizer=in_the_file)
    run = only_run(load(results_dir))
    assert (run.format, run.optimizer) == (layout, name)


def test_the_learning_rate_of_every_format_is_called_lr(results_dir: Path) -> None:
    write_result(results_dir, layout="1.1", lr=0.3, hyperparameters={"momentum": 0.9})
    write_result(
        results_dir, layout="1.2", lr=None, hyperparameters={"momentum": 0.9, "learning_rate": 0.3}
    )
    found = [list(each.items()) for each in load(results_dir).runs.hyperparameters]
    assert found == [[("lr", 0.3), ("momentum", 0.9)]] * 2


def test_a_schedule_makes_a_competitor_of_its_own(results_dir: Path) -> None:
    cosine = {"name": "CosineAnnealingLR", "arguments": {"T_max": 10}, "every": "epoch"}
    steps = {"lr_sched_epochs": [5, 8], "lr_sched_factors": [0.1, 0.01]}
    write_result(results_dir, seed=1)
    write_result(results_dir, seed=2, schedule={"lr_scheduler": cosine})
    write_result(results_dir, seed=3, schedule=steps)
    write_result(results_dir, seed=4, layout="1.1", schedule=steps)
    write_result(results_dir, seed=5, layout="1.2", schedule=steps)
    write_result(
        results_dir,
        seed=6,
        layout="1.2",
        training_params=...,
        analyzable_training_params=steps,
    )
    results = load(results_dir)
    assert results.optimizers == ["SGD", "SGD + CosineAnnealingLR", "SGD + step schedule"]
    schedules = dict(zip(results.runs.seed, results.runs.schedule, strict=True))
    in_steps = "lr * 0.1 after epoch 5, lr * 0.01 after epoch 8"
    assert schedules == {
        1: "",
        2: "CosineAnnealingLR(T_max=10)",
        3: in_steps,
        4: in_steps,
        5: in_steps,
        6: in_steps,
    }


def test_two_classes_of_one_name_are_told_apart(results_dir: Path) -> None:
    write_result(results_dir, optimizer="Adam", seed=1)
    write_result(results_dir, optimizer="Adam", seed=2, optimizer_target="mine:Adam")
    write_result(results_dir, optimizer="AdamOptimizer", seed=3, layout="1.1")
    write_result(results_dir, optimizer="SGD", seed=4)
    names = ["Adam", "Adam (mine:Adam)", "Adam (torch.optim:Adam)", "SGD"]
    assert load(results_dir).optimizers == names


def test_curves_are_filled_from_the_first_epoch_that_is_not_finite(results_dir: Path) -> None:
    write_result(
        results_dir,
        layout="1.1",
        train_losses=[3.0, 2.0, 1.0, NAN],
        test_losses=[4.0, 3.0, INFINITY, NAN],
        test_accuracies=[0.1, 0.5, 0.6, 0.1],
    )
    run = only_run(load(results_dir))
    assert (run.has_diverged, run.diverged_at_epoch) == (True, 2)
    assert run.train_losses.tolist() == [3.0, 2.0, 3.0, 3.0]
    assert run.test_losses.tolist() == [4.0, 3.0, 4.0, 4.0]
    assert run.test_accuracies.tolist() == [0.1, 0.5, 0.1, 0.1]


def test_what_our_file_says_of_divergence_holds(results_dir: Path) -> None:
    write_result(results_dir, test_losses=[4.0, 3.0, 4.0], status="diverged", diverged_at_epoch=2)
    run = only_run(load(results_dir))
    assert (run.has_diverged, run.diverged_at_epoch) == (True, 2)
    assert run.test_losses.tolist() == [4.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("losses", "minibatch_losses", "epoch"),
    [
        ([4.0, 3.0, 4.0, 4.0], [1.0], 2),
        ([4.0, 4.0, 4.0, 4.0], [1.0, NAN], 1),
        ([4.0, 4.0, 4.0, 4.0], [1.0, 1.0], None),
        ([4.0, 3.0, 2.0, 1.0], [1.0, 1.0], None),
    ],
)
def test_curves_that_deepobs_1_2_filled_are_of_runs_that_diverged(
    losses: list[float], minibatch_losses: list[float], epoch: int | None, results_dir: Path
) -> None:
    write_result(
        results_dir, layout="1.2", test_losses=losses, minibatch_train_losses=minibatch_losses
    )
    runs = load(results_dir).runs
    assert runs.has_diverged.tolist() == [epoch is not None]
    assert runs.diverged_at_epoch.isna().tolist() == [epoch is None]
    assert epoch is None or runs.diverged_at_epoch.tolist() == [epoch]


def test_a_curve_that_is_not_finite_before_training_is_not_there(results_dir: Path) -> None:
    write_result(
        results_dir,
        train_losses=[None, None, None],
        test_losses=[5.0, 5.0, 5.0],
        status="diverged",
        diverged_at_epoch=0,
    )
    run = only_run(load(results_dir))
    assert (run.has_diverged, run.diverged_at_epoch) == (True, 0)
    assert run.train_losses is None
    assert run.test_losses.tolist() == [5.0, 5.0, 5.0]


def test_curves_hold_finite_values_only(results_dir: Path) -> None:
    for seed, losses in enumerate([[NAN, 1.0], [1.0, NAN], [1.0, -INFINITY], [1.0, None]]):
        for layout in ("1.1", "1.2", "own"):
            write_result(results_dir / layout, layout=layout, seed=seed, test_losses=losses)
    runs = load(results_dir).runs
    assert len(runs) == 12 and runs.has_diverged.all()
    for name in CURVES:
        assert all(curve is None or np.isfinite(curve).all() for curve in runs[name])


def test_the_metric_is_that_of_the_installed_problem(results_dir: Path) -> None:
    write_result(results_dir, problem="quadratic_deep", test_accuracies=[0.1, 0.2, 0.3])
    assert load(results_dir).metric("quadratic_deep").name == "loss"


def test_problems_of_plugins_that_are_not_installed_are_judged_by_what_there_is(
    results_dir: Path,
) -> None:
    accuracies = [0.1, 0.2, 0.3]
    write_result(results_dir, problem="theirs", seed=1, test_accuracies=accuracies)
    write_result(results_dir, problem="theirs", seed=2)
    write_result(results_dir, problem="acme-obs:theirs", seed=2)
    results = load(results_dir)
    assert results.problems == ["acme-obs:theirs", "theirs"]
    assert results.metric("theirs").name == "accuracy"
    assert results.metric("acme-obs:theirs").name == "loss"
    curves = results.only(problems=["theirs"]).runs.test_accuracies
    assert [None if each is None else each.tolist() for each in curves] == [accuracies, None]


def test_of_results_of_one_run_the_latest_counts(results_dir: Path) -> None:
    early = write_result(results_dir, moment="2026-01-01-00-00-00-000000")
    late = write_result(results_dir, moment="2026-02-01-00-00-00-000000", test_losses=[1, 0, 0])
    os.utime(late, (0, 0))  # copying may change it
    results = load(results_dir)
    assert only_run(results).file == str(late)
    assert reasons(results) == {early.name: "it is an older result of the same run"}


def test_steps_of_an_epoch_are_those_of_the_run(results_dir: Path) -> None:
    write_result(results_dir, seed=1)
    write_result(results_dir, seed=2, steps=9, status="diverged", diverged_at_epoch=2)
    write_result(results_dir, seed=3, batch_size=64, steps=9, status="diverged")
    write_result(results_dir, seed=4, layout="1.1")
    runs = load(results_dir).runs.set_index("seed")
    assert runs.steps_per_epoch[1] == 7.0
    assert runs.steps_per_epoch[[2, 3, 4]].isna().all()


def _left_out(results_dir: Path, content: str | bytes) -> str:
    path = results_dir / "random_seed__1.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    results = load(results_dir, cache=False)
    assert results.runs.empty
    return reasons(results)[path.name]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is broken: it is empty"),
        ('{"testproblem": "qua', "it is broken: it is not JSON"),
        (b"\xff\xfe\x00garbage", "it is broken: it is not JSON"),
        ("[" * 100_000, "it is broken: it is not JSON"),
        ("[1, 2]", "it is not a result: it holds no dictionary"),
        ("{}", "it is not a result: it has none of the keys of one"),
        ('{"optimizer": "AdamOptimizer"}', "it lacks hyperparams, testproblem, batch_size"),
        ('{"schema_version": 1}', "it lacks optimizer_name, optimizer_hyperparams, status"),
        ('{"schema_version": 999}', "a newer DeepOBS wrote it (schema_version 999)"),
        ('{"schema_version": 1, "fake_data": true}', "it was run on synthetic data (fake_data)"),
    ],
)
def test_what_is_no_result_is_left_out_with_the_reason(
    content: str | bytes, reason: str, results_dir: Path
) -> None:
    assert _left_out(results_dir, content).startswith(reason)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"batch_size": "128"}, "batch_size is not an integer of 1 or more: '128'"),
        ({"batch_size": True}, "batch_size is not an integer of 1 or more: True"),
        ({"random_seed": 10**30}, "random_seed is not an integer of 0 or more"),
        ({"num_epochs": 10**400}, "num_epochs is not an integer of 0 or more"),
        ({"num_epochs": NAN}, "num_epochs is not an integer of 0 or more: nan"),
        ({"num_epochs": 5}, "it is unfinished: train_losses has 3 entries instead of 6"),
        ({"testproblem": ["a"]}, "testproblem is not text: a list"),
        ({"testproblem": ""}, "testproblem is not text: ''"),
        ({"test_losses": None}, "it is unfinished: test_losses has 0 entries instead of 3"),
        ({"test_losses": [1, "2", 3]}, "test_losses is not a list of numbers"),
        ({"test_losses": [[1, 2, 3]]}, "test_losses is not a list of numbers"),
        ({"test_losses": [1, 2, 10**400]}, "test_losses holds a number that is too large"),
        ({"optimizer_hyperparams": [1]}, "optimizer_hyperparams is not a dictionary: a list"),
        ({"optimizer_hyperparams": {"lr": 10**400}}, "optimizer_hyperparams holds a number"),
        ({"weight_decay": "0"}, "weight_decay is not a number: '0'"),
        ({"status": "running"}, "status is neither completed nor diverged: 'running'"),
        ({"optimizer_name": "\ud800"}, "it is broken: it holds half of a surrogate pair"),
    ],
)
def test_strange_values_are_left_out_with_the_reason(
    changed: dict[str, Any], reason: str, results_dir: Path
) -> None:
    content = write_result(results_dir / "as_it_should_be").read_text()
    (results_dir / "as_it_should_be").rename(results_dir.parent / "aside")
    strange = json.dumps({**json.loads(content), **changed})
    assert _left_out(results_dir, strange).startswith(reason)


def test_nothing_that_a_file_holds_raises(results_dir: Path) -> None:
    nested: Any = 0
    for _ in range(50):
        nested = [nested]
    strange = [
        None,
        True,
        -1,
        0.5,
        10**400,
        NAN,
        "",
        "x",
        [],
        [None],
        {},
        {"": {"a": [{}]}},
        nested,
    ]
    number = 0
    for layout in ("1.1", "1.2", "own"):
        content = json.loads(write_result(results_dir, layout=layout).read_text())
        for key in content:
            for value in strange:
                number += 1
                (results_dir / f"{number}.json").write_text(json.dumps({**content, key: value}))
    for cached in (False, True, True):
        results = load(results_dir, cache=cached)
        assert len(results.runs) + len(results.skipped) == number + 1


def test_unfinished_and_failed_runs_are_left_out(results_dir: Path) -> None:
    done = json.loads(write_result(results_dir).read_text())["run_id"]
    write_failure(results_dir / "a", kind="time_limit", message="It took\nmore than 60 s.")
    write_failure(results_dir / "b", run_id=done)
    for run_id in ("0123", done):
        (results_dir / f".random_seed__42__{run_id}.checkpoint").write_bytes(b"\x00")
    results = load(results_dir)
    assert [(each.file, each.reason) for each in results.skipped] == [
        (".random_seed__42__0123.checkpoint", "it is unfinished: there is a checkpoint"),
        (
            "a/random_seed__42__2026-01-02-03-04-05-000006.failure",
            "failed: time_limit: It took more than 60 s.",
        ),
    ]


def test_what_is_not_about_runs_is_passed_over(results_dir: Path) -> None:
    for name in ("README.md", ".1234.tmp", ".claims.lock", ".hidden.json", "a.png"):
        (results_dir / name).write_text("not a result")
    (results_dir / ".git").mkdir()
    write_result(results_dir / ".git")
    (results_dir / "directory.json").mkdir()
    os.mkfifo(results_dir / "pipe.json")
    results = load(results_dir)
    assert results.runs.empty and results.skipped == ()


def test_a_file_that_is_too_large_for_a_result_is_not_read(results_dir: Path) -> None:
    with (results_dir / "large.json").open("wb") as stream:
        stream.truncate(2**27)
    assert reasons(load(results_dir)) == {"large.json": "it is not a result: it has 128 MiB"}


def test_links_are_followed_but_not_in_circles(results_dir: Path, tmp_path: Path) -> None:
    write_result(tmp_path / "elsewhere")
    (results_dir / "link").symlink_to(tmp_path / "elsewhere")
    (results_dir / "circle").symlink_to(results_dir)
    (results_dir / "broken.json").symlink_to(results_dir / "nothing")
    assert len(load(results_dir).runs) == 1


def test_names_that_are_no_text_are_made_readable(results_dir: Path) -> None:
    path = write_result(results_dir)
    os.rename(os.fsencode(path), os.fsencode(path.parent) + b"/\xff.json")  # noqa: PTH104 # bytes
    assert only_run(load(results_dir)).file.endswith("\ufffd.json")


def test_runs_are_sorted_and_configurations_by_their_values(results_dir: Path) -> None:
    for lr in (0.1, 1e-5, 10.0):
        for seed in (43, 42):
            write_result(results_dir, lr=lr, seed=seed)
    write_result(results_dir, problem="a_problem", optimizer="Z")
    runs = load(results_dir).runs
    assert runs.problem.tolist() == ["a_problem"] + ["quadratic_deep"] * 6
    assert runs.configuration.tolist()[1::2] == ["lr = 1e-05", "lr = 0.1", "lr = 10"]
    assert runs.seed.tolist() == [42] + [42, 43] * 3


def test_reading_results_imports_no_torch(results_dir: Path) -> None:
    write_result(results_dir)
    program = (
        "import sys; from deepobs_analysis import load; "
        f"assert len(load({str(results_dir)!r}).runs) == 1; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_only_the_newest_code_of_an_optimizer_counts_unless_asked_otherwise(
    results_dir: Path,
) -> None:
    def write(source: str, day: int, problem: str = "quadratic_deep", seed: int = 42) -> None:
        moment = f"2026-01-{day:02}-00-00-00-000000"
        write_result(
            results_dir,
            problem=problem,
            optimizer="Mine",
            seed=seed,
            moment=moment,
            optimizer_target="mine:Mine",
            optimizer_source=source,
        )

    write("0ld", 1)
    write("0ld", 1, seed=43)
    write("0ld", 2, problem="two_d_beale")
    write("new", 3)
    results = load(results_dir)
    assert only_run(results).problem == "quadratic_deep"
    assert set(reasons(results).values()) == {
        "it was run with older code of Mine (0ld; the newest is new; --code all includes it)"
    }
    assert len(load(results_dir, code="all").runs) == 4


def test_the_code_of_a_problem_has_versions_of_its_own(results_dir: Path) -> None:
    for day, version in ((1, "0ld"), (2, "new")):
        for optimizer in ("Adam", "SGD")[: 3 - day]:
            write_result(
                results_dir,
                optimizer=optimizer,
                moment=f"2026-01-0{day}-00-00-00-000000",
                code={"problem": version},
            )
    results = load(results_dir)
    assert only_run(results).optimizer == "Adam"
    assert len(results.skipped) == 2


def test_a_default_that_was_given_and_one_that_was_not_are_one_configuration(
    results_dir: Path,
) -> None:
    write_result(results_dir, seed=1, hyperparameters={"momentum": 0.0})
    write_result(results_dir, seed=2, optimizer_defaults={"momentum": 0, "nesterov": False})
    write_result(results_dir, seed=3, hyperparameters={"momentum": 0.9})
    runs = load(results_dir).runs.sort_values("seed")
    assert list(runs["configuration"]) == [
        *["lr = 0.1, momentum = 0"] * 2,
        "lr = 0.1, momentum = 0.9",
    ]


def read_one(path: Path) -> result_files.Content:
    return result_files.read(str(path.parent), result_files.described(path))


def test_what_many_files_share_is_not_taken_from_one_that_differs(tmp_path: Path) -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"batch_size": 128.0},
        {"batch_size": 64},
        {"weight_decay": 0.1},
        {"label": "mine"},
        {"optimizer_target": "my.module:SGD"},
        {"optimizer_source": "0123456789abcdef"},
        {"code": {"problem": "0123"}},
        {"optimizer_defaults": {"lr": 1, "momentum": 0}},
        {"optimizer_defaults": {"lr": 1, "momentum": 0.0}},
        {"optimizer_defaults": {"momentum": 0, "lr": 1}},
        {"parameter_groups": {"head": {"lr": 1.0}}},
        {"optimizer_needs": ["closure"]},
        {"dataset": {"name": "quadratic", "split_sizes": {"test": 1000}}},
        {"full_evaluation": True, "dataset": {"name": "q", "split_sizes": {"test": 1000}}},
        {"bare_losses": True},
        {"dtype": "bfloat16"},
        {"device": "cuda"},
        {"steps_per_epoch": 7},
        {"hardware": {"processor": "another"}},
        {"versions": {"torch": "another"}},
        {"layout": "1.2"},
        {"layout": "1.1"},
        {"schedule": {"lr_scheduler": {"name": "StepLR", "arguments": {"step_size": 2}}}},
    ]
    for seed, variant in enumerate(variants):
        write_result(tmp_path, seed=seed, **variant)
    paths = list(tmp_path.rglob("*.json"))
    assert len(paths) == len(variants)
    for _ in range(2):
        together = [read_one(path) for path in paths]
    for path, run in zip(paths, together, strict=True):
        result_formats._descriptions.clear()
        assert repr(read_one(path)) == repr(run)
