import subprocess
import sys

import pytest
import torch

from deepobs.errors import ArgumentError
from deepobs.runs.runner import LearningRateScheduleRunner, StandardRunner

LIST_FORM = [{"name": "momentum", "type": float, "default": 0.9}]
DICT_FORM = {"lr": {"type": float}, "momentum": {"type": float, "default": 0.9}}


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("hyperparams", [LIST_FORM, DICT_FORM])
def test_both_forms_of_hyperparameters_give_the_same_run(hyperparams):
    record = StandardRunner(torch.optim.SGD, hyperparams).run(
        "quadratic_deep", num_epochs=1, lr=0.01
    )
    assert record.optimizer_hyperparams == {"lr": 0.01, "momentum": 0.9}
    assert record.optimizer_name == "SGD"


def test_the_result_lies_in_results_unless_said_otherwise(tmp_path):
    runner = StandardRunner(torch.optim.SGD, DICT_FORM)
    runner.run("quadratic_deep", num_epochs=1, lr=0.01)
    assert len(list((tmp_path / "results").rglob("*.json"))) == 1
    runner.run("quadratic_deep", num_epochs=1, lr=0.01, output_dir=tmp_path / "other")
    assert len(list((tmp_path / "other").rglob("*.json"))) == 1
    runner.run("quadratic_deep", num_epochs=2, lr=0.01, no_logs=True)
    assert len(list((tmp_path / "results").rglob("*.json"))) == 1


def test_with_a_problem_the_command_line_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py", "--num_epochs", "nonsense"])
    record = StandardRunner(torch.optim.SGD, DICT_FORM).run("quadratic_deep", num_epochs=1, lr=0.01)
    assert record.num_epochs == 1


def test_without_a_problem_what_the_call_leaves_out_is_on_the_command_line(monkeypatch, capsys):
    words = "script.py quadratic_deep --num_epochs 1 --batch-size 100 --lr 0.02"
    monkeypatch.setattr(sys, "argv", words.split())
    record = StandardRunner(torch.optim.SGD, DICT_FORM).run(random_seed=5)
    assert "SGD on quadratic_deep, seed 5: after 1 epoch test loss" in capsys.readouterr().out
    assert record.testproblem == "quadratic_deep"
    assert (record.num_epochs, record.batch_size, record.random_seed) == (1, 100, 5)
    assert record.optimizer_hyperparams == {"lr": 0.02, "momentum": 0.9}


def test_a_class_defined_in_the_script_can_be_run():
    class Sign(torch.optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter -= group["lr"] * parameter.grad.sign()

    record = StandardRunner(Sign, {}).run("quadratic_deep", num_epochs=1, lr=0.01)
    assert record.test_losses[1] < record.test_losses[0]


def test_a_schedule_is_recorded_and_has_an_effect():
    runner = LearningRateScheduleRunner(torch.optim.SGD, {})
    plain = runner.run("quadratic_deep", num_epochs=2, lr=0.01)
    scheduled = runner.run(
        "quadratic_deep", num_epochs=2, lr=0.01, lr_sched_epochs=[1], lr_sched_factors=[0.0]
    )
    assert scheduled.training_params["lr_sched_epochs"] == [1]
    assert scheduled.test_losses[1] == scheduled.test_losses[2] == plain.test_losses[1]


def test_a_diverging_run_with_a_schedule_ends_well():
    record = LearningRateScheduleRunner(torch.optim.SGD, {}).run(
        "quadratic_deep", num_epochs=3, lr=1e9, lr_sched_epochs=[1], lr_sched_factors=[0.1]
    )
    assert record.status == "diverged"
    assert len(record.test_losses) == 4


def test_the_schedule_comes_from_the_command_line_too(monkeypatch):
    words = (
        "script.py quadratic_deep --num_epochs 2 --lr 0.01 "
        "--lr_sched_epochs 1 --lr-sched-factors 0.5"
    )
    monkeypatch.setattr(sys, "argv", words.split())
    record = LearningRateScheduleRunner(torch.optim.SGD, {}).run()
    assert record.training_params["lr_sched_factors"] == [0.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "'lr' has no default"),
        ({"lr": 0.1, "momentm": 0.9}, "'momentm'.*Did you mean 'momentum'"),
        ({"lr": 0.1, "lr_sched_epochs": [1]}, "No hyperparameter 'lr_sched_epochs'"),
    ],
)
def test_a_mistake_in_the_hyperparameters_is_explained(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        StandardRunner(torch.optim.SGD, DICT_FORM).run("quadratic_deep", **arguments)


@pytest.mark.parametrize(
    "hyperparams", ["momentum", 3, [{"type": float}], {"lr": {"kind": float}}, {"lr": 0.1}, ["lr"]]
)
def test_hyperparameters_declared_in_another_form_are_refused(hyperparams):
    with pytest.raises(ArgumentError, match=r"declared|must be a list or a mapping"):
        StandardRunner(torch.optim.SGD, hyperparams)


@pytest.mark.parametrize(
    ("words", "message", "status"),
    [
        (["quadratic_deep"], "Missing option '--lr'", 2),
        (["quadratc_deep", "--lr", "0.1"], "Did you mean 'quadratic_deep'", 2),
        (["quadratic_deep", "--lr", "-1"], "Invalid learning rate", 2),
        (["quadratic_deep", "--lr", "high"], "'high' is not a valid float", 2),
        (["--help"], "--momentum", 0),
    ],
)
def test_a_script_answers_mistakes_without_a_traceback(tmp_path, words, message, status):
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "from deepobs.pytorch.runners import StandardRunner\n"
        "StandardRunner(torch.optim.SGD, {'lr': {'type': float}, "
        "'momentum': {'type': float, 'default': 0.9}}).run()\n"
    )
    result = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert result.returncode == status
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_a_weight_decay_that_was_declared_is_the_optimizers(monkeypatch):
    runner = StandardRunner(torch.optim.AdamW, {"weight_decay": {"type": float, "default": 0.1}})
    called = runner.run("quadratic_deep", num_epochs=1, lr=0.01, weight_decay=0.2)
    words = "script.py quadratic_deep --num_epochs 1 --lr 0.01 --weight_decay 0.2"
    monkeypatch.setattr(sys, "argv", words.split())
    for record in (called, runner.run()):
        assert record.optimizer_hyperparams == {"lr": 0.01, "weight_decay": 0.2}
        assert record.weight_decay == 0


def test_options_of_steps_are_arguments_unless_an_optimizer_has_them(monkeypatch):
    class Clips(torch.optim.SGD):
        def __init__(self, params, lr, clip_norm):
            super().__init__(params, lr)

    runner = StandardRunner(torch.optim.SGD, [])
    called = runner.run("quadratic_deep", num_epochs=1, lr=0.01, clip_norm=0.5, precision="bf16")
    words = "script.py quadratic_deep --num_epochs 1 --lr 0.01 --clip-norm 0.5 --precision bf16"
    monkeypatch.setattr(sys, "argv", words.split())
    for record in (called, runner.run()):
        assert record.optimizer_hyperparams == {"lr": 0.01}
        options = {"clip_norm": 0.5, "precision": "bf16"}
        assert options.items() <= record.training_params.items()
    own = StandardRunner(Clips, [{"name": "clip_norm", "type": float}])
    record = own.run("quadratic_deep", num_epochs=1, lr=0.01, clip_norm=0.5)
    assert record.optimizer_hyperparams == {"lr": 0.01, "clip_norm": 0.5}
    assert "clip_norm" not in record.training_params


def test_none_is_a_value_of_a_hyperparameter_like_others():
    runner = StandardRunner(torch.optim.SGD, {"foreach": {"type": bool, "default": True}})
    record = runner.run("quadratic_deep", num_epochs=0, lr=0.01, foreach=None)
    assert record.optimizer_hyperparams["foreach"] is None


def test_a_schedule_in_the_call_is_not_offered_on_the_command_line(monkeypatch, capsys):
    words = "script.py quadratic_deep --lr 0.01 --lr_sched_epochs 5"
    monkeypatch.setattr(sys, "argv", words.split())
    with pytest.raises(SystemExit, match="2"):
        LearningRateScheduleRunner(torch.optim.SGD, {}).run(
            num_epochs=1, lr_sched_epochs=[1], lr_sched_factors=[0.1]
        )
    assert "No such option" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["batch_size", "device", "overwrite"])
def test_a_hyperparameter_called_like_an_argument_of_run_is_refused(name):
    with pytest.raises(ArgumentError, match=f"cannot be called '{name}'"):
        StandardRunner(torch.optim.SGD, {name: {"type": float}})


def test_what_is_no_optimizer_is_refused_at_once():
    with pytest.raises(ArgumentError, match=r"subclass of torch\.optim\.Optimizer, got 'SGD'"):
        StandardRunner("SGD", {})


@pytest.mark.filterwarnings("ignore:Still on quadratic_deep trained nothing")
def test_no_learning_rate_is_asked_for_where_there_is_none():
    class Still(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {})

        def step(self, closure=None):
            return None

    record = StandardRunner(Still, {}).run("quadratic_deep", num_epochs=1)
    assert record.optimizer_hyperparams == {}
    with pytest.raises(ArgumentError, match="needs an optimizer with a learning rate"):
        LearningRateScheduleRunner(Still, {}).run(
            "quadratic_deep", lr_sched_epochs=[1], lr_sched_factors=[0.1]
        )
