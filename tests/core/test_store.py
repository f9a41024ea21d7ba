import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepobs.errors import OutputError
from deepobs.runs import RunObserver, run, specify, store

SPECIFICATION = {"testproblem": "quadratic_deep", "optimizer": "SGD", "num_epochs": 1}

KEYS_OF_DEEPOBS_1_2 = {
    "train_losses",
    "test_losses",
    "minibatch_train_losses",
    "testproblem",
    "batch_size",
    "num_epochs",
    "random_seed",
    "weight_decay",
    "optimizer_name",
    "optimizer_hyperparams",
    "training_params",
}


def specification(**arguments):
    return specify(**(SPECIFICATION | {"hyperparameters": {"lr": 0.01}} | arguments))


def directory_of(specification):
    """The directory of a configuration among those of its problem and optimizer."""
    return store.configuration_directory(Path("results"), specification).name


def test_a_result_lies_where_the_original_would_put_it(tmp_path):
    run(specification(hyperparameters={"lr": 0.01, "momentum": 0.9}), output_dir=tmp_path)
    (path,) = tmp_path.rglob("*.json")
    assert path.parent.relative_to(tmp_path).as_posix() == (
        "quadratic_deep/SGD/num_epochs__1__batch_size__128__lr__1.e-02__momentum__9.e-01"
    )
    assert path.name.startswith("random_seed__42__")


def test_a_result_has_the_keys_of_the_original_and_ours(tmp_path):
    run(specification(), output_dir=tmp_path)
    (path,) = tmp_path.rglob("*.json")
    result = json.loads(path.read_text())
    ours = {"schema_version", "status", "steps", "fake_data", "versions", "command", "hardware"}
    assert set(result) >= KEYS_OF_DEEPOBS_1_2 | ours
    assert result["versions"]["deepobs-core"]
    assert result["dataset"]["split_sizes"] == {"train": 1000, "train_eval": 1000, "test": 1000}


def test_a_result_reads_back_as_it_was_written(tmp_path):
    record = run(specification(), output_dir=tmp_path).record
    _, found = store.find(tmp_path, specification())
    assert found == record


def test_a_run_that_is_there_is_skipped(tmp_path):
    first = run(specification(), output_dir=tmp_path).record
    second = run(specification(), output_dir=tmp_path).record
    assert second == first
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_a_run_can_be_done_again_and_the_latest_is_found(tmp_path):
    run(specification(), output_dir=tmp_path)
    again = run(specification(), output_dir=tmp_path, overwrite=True).record
    assert len(list(tmp_path.rglob("*.json"))) == 2
    assert store.find(tmp_path, specification())[1] == again


def test_a_broken_file_does_not_count_as_a_result(tmp_path):
    run(specification(), output_dir=tmp_path)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text()[:100])
    assert store.find(tmp_path, specification()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"validation_size": 200},
        {"full_evaluation": True},
        {"bare_losses": True},
        {"reshuffle": False},
        {"max_steps": 5},
        {"max_steps": 5, "num_epochs": 1},
        {"train_fraction": 0.5},
        {"evaluate_every": "2epochs"},
        {"bn_recalibration": 10},
        {"precision": "bf16"},
        {"accumulate": 2},
        {"clip_norm": 1.0},
        {"clip_value": 1.0},
        {"compile_mode": "default"},
        {"channels_last": True},
        {"batch_size": 100},
        {"lr_sched_epochs": [1], "lr_sched_factors": [0.5]},
        {"lr_scheduler": "LinearLR"},
        {"lr_scheduler": {"name": "LinearLR", "every": "step"}},
        {"needs": ["create_graph"]},
        {"parameter_groups": {"vector": {"lr": 1}}},
        {"hyperparameters": {"lr": 0.010000000001}},
    ],
)
def test_settings_that_differ_lie_apart(change):
    assert directory_of(specification(**change)) != directory_of(specification())


def test_runs_of_a_family_lie_where_each_would_on_its_own():
    first = specification(hyperparameters={"lr": 0.01, "momentum": 0.9}, weight_decay=0.1)
    settings = [{"lr": 0.1}, {"lr": 0.1, "momentum": 0.5}, {"nesterov": True, "momentum": 0.5}]
    runs = [first.model_copy(update={"hyperparameters": one}) for one in settings]
    frame = store.path_frame(first)
    assert {run.family for run in runs} == {first.family} != {None}
    assert [store.configuration_path(run, frame) for run in runs] == [
        "quadratic_deep/SGD/num_epochs__1__batch_size__128__weight_decay__1.e-01__lr__1.e-01",
        "quadratic_deep/SGD/num_epochs__1__batch_size__128__weight_decay__1.e-01__lr__1.e-01"
        "__momentum__5.e-01",
        "quadratic_deep/SGD/num_epochs__1__batch_size__128__weight_decay__1.e-01__momentum__5.e-01"
        "__nesterov__True",
    ]
    assert [store.configuration_path(run) for run in runs] == [
        store.configuration_path(run, frame) for run in runs
    ]


def test_the_weight_decays_of_problem_and_optimizer_are_both_part_of_the_setting():
    names = {
        directory_of(specification(weight_decay=of_problem, hyperparameters={"weight_decay": 0.1}))
        for of_problem in (None, 0.1, 0.2)
    }
    assert len(names) == 3


def test_an_optimizer_that_only_shares_its_name_with_another_lies_apart():
    import torch

    class SGD(torch.optim.SGD):
        pass

    ours, theirs = specification(optimizer=SGD), specification()
    assert ours.optimizer == theirs.optimizer == "SGD"
    assert directory_of(ours) != directory_of(theirs)


def test_an_optimizer_that_was_edited_is_run_again(tmp_path, monkeypatch):
    import importlib

    source = (
        "import torch\n"
        "class Edited(torch.optim.SGD):\n"
        "    def __init__(self, params, lr=0.01):\n"
        "        super().__init__(params, lr=lr * {factor})  # {comment}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ids = []
    for number, (factor, comment) in enumerate([(1, "one"), (1, "another"), (2, "third")]):
        (tmp_path / f"edited_{number}.py").write_text(source.format(factor=factor, comment=comment))
        module = importlib.import_module(f"edited_{number}")
        module.Edited.__module__ = "edited"  # as if it were one file, edited
        monkeypatch.setitem(sys.modules, "edited", module)
        ids.append(specification(optimizer=module.Edited).run_id)
    assert ids[0] == ids[1] != ids[2]


def test_results_of_earlier_identities_are_found(tmp_path):
    given = {"lr": 0.1, "momentum": 0.0}
    # As before: with the arguments at their defaults and the step protocol "plain".
    earlier = specification(hyperparameters={"lr": 0.1}).model_copy(
        update={"hyperparameters": given, "optimizer_needs": ("plain",)}
    )
    path = run(earlier, output_dir=tmp_path).path
    now = specification(hyperparameters=given, needs=["plain"])
    assert now.run_id != earlier.run_id
    found = run(now, output_dir=tmp_path)
    assert found.path == path
    assert not found.is_new


def test_a_longer_name_of_the_same_problem_is_the_same_run():
    qualified = specification(testproblem="deepobs-core:quadratic_deep")
    assert qualified == specification()


def test_a_setting_that_no_file_name_can_hold_gets_a_safe_and_unique_name():
    import torch

    class Wordy(torch.optim.SGD):
        def __init__(self, params, lr=0.1, text=""):
            super().__init__(params, lr=lr)

    names = {
        directory_of(specification(optimizer=Wordy, hyperparameters={"text": text}))
        for text in ("../../etc", "..-..-etc", "x" * 300, "x" * 301)
    }
    assert len(names) == 4
    assert all("/" not in name and len(name.encode()) < 255 for name in names)


def test_a_directory_that_cannot_be_written_is_refused_before_training(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError, match=r"Results cannot be written to .*file"):
        run(specification(), output_dir=blocked / "results")


def test_an_interrupted_run_leaves_no_file(tmp_path):
    results = tmp_path / "results"
    words = ["run", "two_d_branin", "SGD", "--lr", "1e-5", "--epochs", "100000"]
    command = [sys.executable, "-m", "deepobs", *words, "--out", str(results)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not results.exists() and time.monotonic() < deadline:
        time.sleep(0.05)  # it is made when training is about to start
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    try:
        _, messages = process.communicate(timeout=60)
    finally:
        process.kill()  # it would train for half an hour
    assert process.returncode == 130
    assert "Traceback" not in messages
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_interrupt_that_python_ignores_ends_the_run(monkeypatch):
    class Interrupted:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    class Busy(RunObserver):
        def run_started(self, specification, steps_per_epoch, resumed_at):
            Interrupted()  # exceptions in destructors are ignored

    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(specification(), observers=[Busy()])
    assert signal.getsignal(signal.SIGINT) is before


def test_concurrent_writers_leave_whole_files(tmp_path):
    program = (
        "from deepobs.runs import run, specify\n"
        "for seed in range(3):\n"
        "    run(specify('quadratic_deep', 'SGD', {'lr': 0.01}, num_epochs=1, random_seed=seed),"
        f" output_dir={str(tmp_path)!r}, overwrite=True)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"OMP_NUM_THREADS": "1"})
        for _ in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    files = list(tmp_path.rglob("*.json"))
    assert len(files) == 6
    assert {store.read(path).random_seed for path in files} == {0, 1, 2}
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_a_killed_writer_left_long_ago_is_removed_by_the_next(tmp_path):
    run(specification(), output_dir=tmp_path)
    (path,) = tmp_path.rglob("*.json")
    old, new = path.with_name(".0123.tmp"), path.with_name(".4567.tmp")
    old.write_text("{")
    new.write_text("{")
    os.utime(old, (0, 0))
    run(specification(), output_dir=tmp_path, overwrite=True)
    assert not old.exists()
    assert new.exists()  # somebody may be writing it
