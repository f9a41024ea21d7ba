"""Searches of schedules and parameter groups: the same runs as those written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deepobs.errors import ArgumentError
from deepobs.runs import run, specify
from deepobs_bench.executors import SerialExecutor
from deepobs_bench.experiment_files import load
from deepobs_bench.plan import plan
from deepobs_bench.sweep import Sweep
from deepobs_bench.tuning.candidates import candidate
from deepobs_bench.tuning.searched_names import Base, unknown_given, unsuitable
from deepobs_bench.tuning.settings import TuningSettings
from deepobs_bench.tuning.tune import tune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WARM_UP = {
    "name": "SequentialLR",
    "every": "step",
    "arguments": {
        "schedulers": [
            {"name": "LinearLR", "arguments": {"start_factor": 0.1, "total_iters": "warmup"}},
            {"name": "CosineAnnealingLR", "arguments": {"T_max": "num_steps"}},
        ],
        "milestones": ["warmup"],
    },
}


def _warm_up(steps: int) -> dict[str, Any]:
    return json.loads(json.dumps(WARM_UP).replace('"warmup"', str(steps)))


BY_HAND = [
    (
        {"lr_scheduler": "StepLR"},
        {"schedule:step_size": 2, "schedule:gamma": 0.5},
        {"lr_scheduler": {"name": "StepLR", "arguments": {"step_size": 2, "gamma": 0.5}}},
    ),
    (
        {"lr_scheduler": {"name": "MultiStepLR", "arguments": {"milestones": [1, 2]}}},
        {"schedule:milestones[1]": 3},
        {"lr_scheduler": {"name": "MultiStepLR", "arguments": {"milestones": [1, 3]}}},
    ),
    (
        {"lr_scheduler": {"name": "trapezoid", "arguments": {"decay": 0.5}}},
        {"schedule:warmup": 3},
        {"lr_scheduler": {"name": "trapezoid", "arguments": {"warmup": 3, "decay": 0.5}}},
    ),
    ({"lr_scheduler": WARM_UP}, {"schedule:warmup": 7}, {"lr_scheduler": _warm_up(7)}),
    (
        {"lr_sched_epochs": [1, 2], "lr_sched_factors": [0.5, 0.1]},
        {"schedule:epochs[1]": 3, "schedule:factors[0]": 0.2},
        {"lr_sched_epochs": [1, 3], "lr_sched_factors": [0.2, 0.1]},
    ),
    (
        {"parameter_groups": {"others": {"momentum": 0.5}}},
        {"others:lr": 0.003, "others:weight_decay": 0.01},
        {"parameter_groups": {"others": {"momentum": 0.5, "lr": 0.003, "weight_decay": 0.01}}},
    ),
    (
        {"parameter_groups": {"hidden": {}, "others": {"optimizer": "Adam"}}},
        {"others:betas[0]": 0.8},
        {
            "parameter_groups": {
                "hidden": {},
                "others": {"optimizer": "Adam", "betas": [0.8, 0.999]},
            }
        },
    ),
]


@pytest.mark.parametrize(("given", "setting", "by_hand"), BY_HAND)
def test_searched_values_give_the_run_that_they_give_by_hand(
    tmp_path: Path, given: dict[str, Any], setting: dict[str, Any], by_hand: dict[str, Any]
) -> None:
    shared = {"num_epochs": 4, "device": "cpu"}
    base = Base("quadratic_deep", "SGD", {"lr": 0.01}, {**shared, **given})
    assert list(unsuitable(base, setting)) == []
    before = json.dumps(given)
    (found,) = candidate(base, setting, [42]).specifications
    expected = specify("quadratic_deep", "SGD", {"lr": 0.01}, **shared, **by_hand)
    assert found == expected
    assert found.run_id == expected.run_id
    assert json.dumps(given) == before
    losses = [
        run(one, output_dir=tmp_path / str(n)).record for n, one in enumerate((found, expected))
    ]
    assert losses[0].train_losses == losses[1].train_losses


GAMMA = {"lr_scheduler": {"name": "StepLR", "arguments": {"step_size": 2, "gamma": 0.5}}}


@pytest.mark.parametrize(
    ("given", "name", "message"),
    [
        ({}, "schedule:gamma", "the learning rate is constant: give a schedule"),
        (GAMMA, "schedule:gama", "no argument 'gama' .*Did you mean 'gamma'.*step_size, gamma"),
        (GAMMA, "schedule:gamma", "is both given and tuned: remove one of them"),
        (GAMMA, "shedule:gamma", "names no parameter role. Did you mean 'schedule'"),
        (GAMMA, "schedule:step_size[1]", "not an element of the argument 'step_size', which is 2"),
        ({"lr_scheduler": WARM_UP}, "schedule:warm", "or use 'warm' as a word in its arguments"),
        (
            {"lr_sched_epochs": [1], "lr_sched_factors": [0.1]},
            "schedule:factor[0]",
            "Did you mean 'factors'.*as in schedule:factors",
        ),
        ({"lr_sched_epochs": [1], "lr_sched_factors": [0.1]}, "schedule:factors[1]", "element"),
        ({}, "haed:lr", "names no parameter role. Did you mean 'head'"),
        ({}, "others:momentm", "SGD has no hyperparameter 'momentm' .*Did you mean 'momentum'"),
        (
            {"parameter_groups": {"others": {"lr": 0.1}}},
            "others:lr",
            "is both given and tuned: remove one of them",
        ),
        (
            {"parameter_groups": {"hidden": {}, "others": {"optimizer": "Adam"}}},
            "others:momentum",
            "Adam has no hyperparameter 'momentum'",
        ),
        ({}, "momentm", "SGD has no hyperparameter 'momentm'. Did you mean 'momentum'"),
    ],
)
def test_a_name_that_stands_for_nothing_is_refused_before_any_run(
    tmp_path: Path, given: dict[str, Any], name: str, message: str
) -> None:
    settings = TuningSettings(space={name: [1, 2], "lr": [0.1]}, sampler="grid")
    sweep = Sweep(SerialExecutor(), output_dir=tmp_path)
    with pytest.raises(ArgumentError, match=message):
        tune("quadratic_deep", "SGD", settings, sweep=sweep, options=given)
    assert list(tmp_path.iterdir()) == []


def test_all_that_does_not_fit_is_named_in_one_round(tmp_path: Path) -> None:
    settings = TuningSettings(
        space={"momentm": [1], "schedule:gamma": [1], "lr": [0.1]},
        sampler="grid",
        metric="accuracy",
        trials=3,
    )
    with pytest.raises(ArgumentError) as refused:
        tune(
            "quadratic_deep",
            "SGD",
            settings,
            sweep=Sweep(SerialExecutor(), output_dir=tmp_path),
            hyperparameters={"nestrov": True},
        )
    lines = str(refused.value).splitlines()
    words = (
        "Did you mean 'nesterov'",
        "momentm",
        "constant",
        "1 points, but 3 trials",
        "has no accuracy",
    )
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


EXPERIMENT = """
problems = ["quadratic_deep"]
defaults = { epochs = 3, validation_size = 128 }

[schedules.warm]
scheduler = "SequentialLR"
arguments.milestones = ["warmup"]
[[schedules.warm.arguments.schedulers]]
name = "LinearLR"
arguments.total_iters = "warmup"
[[schedules.warm.arguments.schedulers]]
name = "ConstantLR"
[schedules.step]
scheduler = "StepLR"

[optimizers.stepped]
class = "SGD"
schedules = ["step"]
tune.sampler = "grid"
tune.report_seeds = [1]
[optimizers.stepped.tune.space]
lr = [0.01]
"schedule:step_size" = [1, 2]
"others:momentum" = [0.5]

[optimizers.warmed]
class = "SGD"
schedules = ["warm"]
tune = { sampler = "grid", report_seeds = [1], space = { lr = [0.01], "schedule:warmup" = [1, 2] } }
"""


def test_an_experiment_searches_schedules_and_groups(
    command_line: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    code, out, _ = command_line("bench", "experiment.toml", "--executor", "serial", "--no-estimate")
    assert code == 0
    (stepped,) = (line for line in out.splitlines() if "stepped + step " in line)
    assert "lr = 0.01, schedule:step_size = " in stepped
    assert stepped.endswith("others:momentum = 0.5")
    (record,) = (
        each
        for each in map(json.loads, (one.read_text() for one in tmp_path.rglob("*.tuning")))
        if "others:momentum" in each["protocol"]["space"]
    )
    # What is tuned is no part of what all trials share.
    assert record["training"]["lr_scheduler"]["arguments"] == {}
    assert record["training"]["parameter_groups"] == {"others": {}}
    code, out, _ = command_line("bench", "experiment.toml", "--dry-run", "--no-estimate")
    assert "2 tunings of 6 runs (2 done)" in out


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('schedules = ["constant"]\n', "schedule:gamma", "the learning rate is constant"),
        ('schedules = ["step", "cosine"]\n', "schedule:gamma", "CosineAnnealingLR has no argument"),
        ('schedules = ["step"]\n', "schedule:gama", "Did you mean 'gamma'"),
        ('schedules = ["step"]\n', "haed:lr", "Did you mean 'head'"),
    ],
)
def test_an_experiment_whose_schedules_lack_what_is_searched_is_refused(
    tmp_path: Path, text: str, place: str, message: str
) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(
        'problems = ["quadratic_deep"]\n'
        '[schedules.step]\nscheduler = "StepLR"\narguments.step_size = 2\n'
        '[schedules.cosine]\nscheduler = "CosineAnnealingLR"\narguments.T_max = 2\n'
        f"[optimizers.SGD]\n{text}"
        f'tune = {{ trials = 2, space = {{ lr = "log:1e-3:1", "{place}" = "uniform:0.1:1" }} }}\n'
    )
    with pytest.raises(ArgumentError) as refused:
        plan(load(file), str(file))
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f'{file}: optimizers.SGD.tune.space."{place}": ')
    assert message in line


class Outer(torch.optim.Optimizer):
    """Wraps another optimizer."""

    def __init__(self, params, base_optimizer, lr=0.1):
        self.inner = base_optimizer(params, lr=lr)
        super().__init__(self.inner.param_groups, {"lr": lr})

    def step(self, closure=None):
        return self.inner.step(closure)


def test_what_a_searched_inner_optimizer_takes_can_be_searched() -> None:
    base = Base("quadratic_deep", Outer, {"weight_decay": 0.1}, {})
    space = {"base_optimizer": ["SGD", "Adam"], "momentum": [0.5], "lr": [0.1]}
    assert list(unsuitable(base, space)) == []
    assert list(unknown_given(base, space)) == []
