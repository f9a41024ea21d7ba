import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch

from deepobs import config
from deepobs.errors import ArgumentError, DeepOBSError, UnknownNameError
from deepobs.pytorch import testproblems
from deepobs.run_specifications import RunSpecification
from deepobs.runs import reproduction_command, specify
from deepobs.runs.specification import specify_each


def test_what_is_left_out_takes_the_default_of_the_problem():
    specification = specify("quadratic_deep", "SGD", {"lr": 0.01})
    assert specification.batch_size == 128
    assert specification.num_epochs == 100
    assert specification.random_seed == 42
    assert specification.hyperparameters == {"lr": 0.01}


def test_the_identity_does_not_depend_on_the_order_of_hyperparameters():
    one = specify("quadratic_deep", "SGD", {"lr": 0.01, "momentum": 0.9})
    other = specify("quadratic_deep", "SGD", {"momentum": 0.9, "lr": 0.01})
    assert one.run_id == other.run_id


@pytest.mark.parametrize(
    "change",
    [
        {"random_seed": 1},
        {"num_epochs": 3},
        {"batch_size": 3},
        {"validation_size": 300},
        {"full_evaluation": True},
        {"bare_losses": True},
        {"reshuffle": False},
        {"max_steps": 5},
        {"train_fraction": 0.5},
        {"evaluate_every": "2epochs"},
        {"evaluate_every": "5steps"},
        {"bn_recalibration": 10},
        {"precision": "bf16"},
        {"precision": "fp16"},
        {"accumulate": 2},
        {"clip_norm": 1.0},
        {"clip_value": 1.0},
        {"compile_mode": "default"},
        {"channels_last": True},
        {"lr_sched_epochs": [1], "lr_sched_factors": [0.1]},
        {"lr_scheduler": "LinearLR"},
        {"needs": ["create_graph"]},
        {"parameter_groups": {"vector": {"lr": 1}}},
        {"hyperparameters": {"lr": 0.02}},
    ],
)
def test_everything_that_changes_the_numbers_changes_the_identity(change):
    arguments = {"hyperparameters": {"lr": 0.01}}
    before = specify("quadratic_deep", "SGD", **arguments)
    assert specify("quadratic_deep", "SGD", **(arguments | change)).run_id != before.run_id


def test_recording_norms_of_gradients_makes_no_other_run():
    plain = specify("quadratic_deep", "SGD")
    assert specify("quadratic_deep", "SGD", log_gradient_norm=True).run_id == plain.run_id
    assert "--log-gradient-norm" in specify("quadratic_deep", "SGD", log_gradient_norm=True).command


def test_the_command_tells_how_steps_are_computed():
    options = {"precision": "bf16", "accumulate": 4, "clip_norm": 0.5, "channels_last": True}
    command = specify("quadratic_deep", "SGD", **options, compile_mode="max-autotune").command
    assert "--precision bf16 --accumulate 4 --clip-norm 0.5 --compile max-autotune" in command
    assert "--channels-last" in command


def test_fake_data_and_another_precision_make_another_run():
    ids = {specify("quadratic_deep", "SGD").run_id}
    config.set_fake_data(True)
    ids.add(specify("quadratic_deep", "SGD").run_id)
    config.set_dtype(torch.float64)
    ids.add(specify("quadratic_deep", "SGD").run_id)
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
        ({"batch_size": 12.5}, "batch_size must be an integer"),
        ({"num_epochs": -1}, "num_epochs must be 0 or more, got -1"),
        ({"random_seed": -1}, "random_seed must be from 0 to 4294967295, got -1"),
        ({"random_seed": 2**32}, "random_seed must be from 0 to 4294967295"),
        ({"weight_decay": -0.1}, "weight_decay must be a finite number, 0 or more; got -0.1"),
        ({"weight_decay": float("nan")}, "weight_decay must be a finite number"),
        ({"validation_size": -5}, "validation_size must be 0 or more, got -5"),
        ({"train_log_interval": 0}, "train_log_interval must be 1 or more, got 0"),
        ({"accumulate": 0}, "accumulate must be from 1 to 128, got 0"),
        ({"accumulate": 129}, "accumulate must be from 1 to 128, got 129"),
        ({"clip_norm": 0}, "clip_norm must be a finite number above 0; got 0"),
        ({"clip_value": float("inf")}, "clip_value must be a finite number"),
        ({"clip_norm": 1, "clip_value": 1}, "by clip_norm or by clip_value, not by both"),
        ({"precision": "bf61"}, "precision must be one of bf16, fp16; got 'bf61'. Did you mean"),
        ({"compile_mode": "fast"}, "compile_mode must be one of default, reduce-overhead"),
        ({"device": "abacus"}, "device 'abacus' cannot be used here. Available: cpu"),
        ({"device": "meta"}, "device 'meta' cannot be used here. Available: cpu"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used here. Available: cpu"),
        ({"lr_sched_epochs": [3]}, "as many factors as epochs"),
        ({"lr_sched_epochs": [3, 2], "lr_sched_factors": [1, 1]}, "must increase"),
        ({"lr_sched_epochs": [3], "lr_sched_factors": [-1]}, "lr_sched_factors must be a finite"),
        ({"hyperparameters": {"lr": float("inf")}}, "finite numbers"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_permitted(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        specify("quadratic_deep", "SGD", **arguments)


def test_an_unknown_problem_is_answered_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match="Did you mean 'quadratic_deep'"):
        specify("quadratc_deep", "SGD")


@pytest.mark.parametrize(
    "schedule",
    [
        {"lr_sched_epochs": [1], "lr_sched_factors": [0.5]},
        {
            "lr_scheduler": {
                "name": "SequentialLR",
                "arguments": {
                    "schedulers": [{"name": "LinearLR"}, {"name": "ConstantLR"}],
                    "milestones": [2],
                },
                "every": "step",
            }
        },
    ],
)
def test_the_command_reproduces_the_specification(tmp_path, schedule):
    specification = specify(
        "quadratic_deep",
        "Adam",
        {"lr": 0.1, "betas": (0.8, 0.9), "amsgrad": True},
        num_epochs=2,
        batch_size=100,
        random_seed=7,
        validation_size=100,
        needs=["create_graph"],
        parameter_groups={"hidden": {}, "others": {"optimizer": "SGD", "nesterov": False}},
        **schedule,
        full_evaluation=True,
        bare_losses=True,
        reshuffle=False,
        max_steps=7,
        train_fraction=0.7,
        evaluate_every="5steps",
        precision="bf16",
        log_gradient_norm=True,
    )
    from deepobs.cli._run_command import command
    from deepobs.runs import store

    words = shlex.split(reproduction_command(specification))
    assert words[:2] == ["deepobs", "run"]
    command.main([*words[2:], "--out", str(tmp_path)], standalone_mode=False)
    assert store.find(tmp_path, specification) is not None


def test_numbers_of_numpy_are_numbers():
    hyperparameters = {"lr": np.float32(0.5), "max_iter": np.int64(3)}
    specification = specify("quadratic_deep", "LBFGS", hyperparameters)
    assert specification.hyperparameters == {"lr": 0.5, "max_iter": 3}
    assert type(specification.hyperparameters["max_iter"]) is int


def test_the_command_names_the_class_where_the_name_is_that_of_another():
    class Adam(torch.optim.Adam):
        pass

    assert "Adam" in shlex.split(reproduction_command(specify("quadratic_deep", "Adam")))
    words = shlex.split(reproduction_command(specify("quadratic_deep", Adam)))
    assert "Adam" not in words
    assert any(word.startswith(f"{__name__}:") for word in words)


def test_the_command_tells_how_often_losses_are_recorded():
    assert "--log-interval" not in reproduction_command(specify("quadratic_deep", "SGD"))
    assert "--log-interval 3" in reproduction_command(
        specify("quadratic_deep", "SGD", train_log_interval=3)
    )


def test_the_command_tells_the_precision():
    config.set_dtype(torch.float64)
    assert "--dtype float64" in reproduction_command(specify("quadratic_deep", "SGD"))


def test_the_class_of_a_registered_problem_is_that_problem():
    assert specify(testproblems.quadratic_deep, "SGD") == specify("quadratic_deep", "SGD")


def test_what_is_neither_a_name_nor_a_class_is_refused_as_a_problem():
    with pytest.raises(ArgumentError, match="The name of a test problem must be a string"):
        specify(testproblems.quadratic_deep(128), "SGD")


def test_what_is_left_at_its_default_is_no_part_of_the_identity():
    specification = specify("quadratic_deep", "SGD")

    class WithALaterOption(RunSpecification):
        later_option: bool = False

    later = WithALaterOption(**specification.model_dump())
    assert later.run_id == specification.run_id
    assert later.model_copy(update={"later_option": True}).run_id != specification.run_id


@pytest.mark.parametrize(
    ("optimizer", "given"),
    [
        ("Adam", {"lr": 0.01, "betas": (0.9, 0.999)}),
        ("Adam", {"lr": 0.01, "betas": [0.9, 0.999], "amsgrad": False}),
        ("SGD", {"lr": 0.01, "momentum": 0}),
        ("Momentum", {"lr": 0.01, "momentum": 0.9}),
    ],
)
def test_arguments_at_their_defaults_are_no_other_configuration(optimizer, given):
    explicit = specify("quadratic_deep", optimizer, given)
    assert explicit.run_id == specify("quadratic_deep", optimizer, {"lr": 0.01}).run_id


def test_a_default_that_a_plugin_replaces_counts():
    without = specify("quadratic_deep", "Momentum", {"lr": 0.01, "momentum": 0.0})
    assert without.run_id != specify("quadratic_deep", "Momentum", {"lr": 0.01}).run_id
    assert without.hyperparameters["momentum"] == 0.0


def test_needs_that_are_given_as_plain_or_found_to_be_are_the_same():
    plain = specify("quadratic_deep", "SGD", {"lr": 1}, needs=["plain"])
    assert plain.run_id == specify("quadratic_deep", "SGD", {"lr": 1.0}).run_id
    # LBFGS would be found to need a closure.
    assert specify("quadratic_deep", "LBFGS", needs=["plain"]).optimizer_needs == ("plain",)


def test_a_class_is_the_same_in_a_script_and_in_a_module():
    import torch

    class Own(torch.optim.SGD):
        def step(self):
            return None

    in_module = specify("quadratic_deep", Own, {"lr": 0.01})
    Own.__module__ = "__main__"
    in_script = specify("quadratic_deep", Own, {"lr": 0.01})
    assert in_module.optimizer_target != in_script.optimizer_target
    assert in_module.run_id == in_script.run_id


def test_the_code_of_a_scheduler_is_part_of_the_identity(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    ids = set()
    for number, factor in enumerate([0.5, 0.25]):
        name = f"own_scheduler_{number}"
        (tmp_path / f"{name}.py").write_text(
            "from torch.optim.lr_scheduler import LambdaLR\n"
            "def decay(epoch): return FACTOR ** epoch\n"
            f"FACTOR = {factor}\n"
            "class Own(LambdaLR):\n"
            "    def __init__(self, optimizer): super().__init__(optimizer, decay)\n"
        )
        described = specify("quadratic_deep", "SGD", lr_scheduler=f"{name}:Own")
        assert "lr_scheduler" in described.code
        ids.add(described.code["lr_scheduler"])
    assert len(ids) == 2


class AnOptimizer(torch.optim.SGD):
    """One that no release vouches for."""


def of_each(*arguments, **options):
    """What `specify_each` gives for each point, with messages in place of errors."""
    found = specify_each(*arguments, **options)
    return [str(one) if isinstance(one, DeepOBSError) else one for one in found]


def one_by_one(testproblem, optimizer, points, **options):
    def specified(point):
        try:
            return specify(testproblem, optimizer, point, **options)
        except DeepOBSError as error:
            return str(error)

    return list(map(specified, points))


@pytest.mark.parametrize(
    ("optimizer", "points"),
    [
        ("SGD", [{"lr": lr, "momentum": m} for lr in (0.1, 1, 2.0) for m in (0, 0.0, 0.9)]),
        ("SGD", [{"nesterov": n, "momentum": m} for n in (True, False) for m in (0, 0.5, 0.9)]),
        ("SGD", [{"lr": 0.1}, {"lr": -0.1}, {"lr": 0.2}, {"lr": float("inf")}, {"lr": "a"}]),
        ("Momentum", [{"lr": 0.1}, {"lr": 0.1, "momentum": 0.9}, {"lr": 0.2, "momentum": 0.8}]),
        ("Adam", [{"betas": b} for b in ([0.9, 0.999], [0, 0.9], [0.5, 1.5], (0.5, 0.9))]),
        ("Adam", [{}, {"eps": 1e-8}, {"eps": float("inf")}, {"weight_decai": 1}]),
        (AnOptimizer, [{"lr": 0.1}, {"lr": 0.2}, {"lr": -1.0}]),
        ("Nobody", [{"lr": 0.1}, {"lr": 0.2}]),
    ],
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr_scheduler": {"name": "ExponentialLR", "arguments": {"gamma": 0.5}}, "label": "mine"},
        {"parameter_groups": {"hidden": {"lr": 0.5}}, "random_seed": 3},
        {"batch_size": 0},
    ],
)
def test_the_runs_of_a_grid_are_those_of_its_points(optimizer, points, options):
    found = of_each("quadratic_deep", optimizer, points, **options)
    expected = one_by_one("quadratic_deep", optimizer, points, **options)
    assert found == expected
    ids = [getattr(one, "run_id", None) for one in found]
    assert ids == [getattr(one, "run_id", None) for one in expected]


def test_a_changed_copy_of_a_run_has_an_identity_of_its_own():
    specification = specify("quadratic_deep", "SGD")
    run_id = specification.run_id
    assert specification.model_copy().run_id == run_id
    copied = specification.model_copy(update={"random_seed": 1})
    assert copied.run_id == specify("quadratic_deep", "SGD", random_seed=1).run_id != run_id
    assert "run_id" not in repr(specification.model_dump())
    assert RunSpecification.model_validate_json(specification.model_dump_json()) == specification


SPECIFY_ALL = """
import sys
import torch
from deepobs.errors import ArgumentError
from deepobs.runs import specify

classes = [one for one in vars(torch.optim).values() if isinstance(one, type)]
names = {one.__name__ for one in classes if issubclass(one, torch.optim.Optimizer)}
cosine = {"name": "CosineAnnealingLR", "arguments": {"T_max": 10}}
for name in names - {"Optimizer", "SparseAdam"}:
    specify("quadratic_deep", name, lr_scheduler=cosine)
    try:
        specify("quadratic_deep", name, {"lr": -1.0})
    except ArgumentError:
        print(name)
print("torch._dynamo" in sys.modules)
"""


def test_runs_are_specified_without_the_compiler_of_torch():
    command = [sys.executable, "-c", SPECIFY_ALL]
    *refused, is_imported = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(refused) > 10
    assert is_imported == "False"


@pytest.mark.parametrize(
    ("optimizer", "wrong"),
    [
        ("SGD", {"nesterov": True}),
        ("SGD", {"foreach": True, "fused": True}),
        ("SGD", {"lr": 1e300}),  # more than the type of a model holds, which only steps notice
        ("NAdam", {"betas": [0.9]}),
        ("LBFGS", {"lr": -1.0}),
        ("Muon", {"ns_steps": 2.5}),
    ],
)
def test_what_an_optimizer_of_torch_refuses_is_said_in_its_words(optimizer, wrong, monkeypatch):
    parameter = torch.nn.Parameter(torch.ones(1, 1))
    parameter.grad = torch.ones(1, 1)
    as_tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in wrong.items()}
    with pytest.raises(Exception, match=r".") as refused:
        getattr(torch.optim, optimizer)([parameter], **as_tuples).step()
    monkeypatch.setattr("deepobs.runs.optimizer_checks._step_works", set())
    with pytest.raises(ArgumentError, match=re.escape(str(refused.value))):
        specify("quadratic_deep", optimizer, wrong)
